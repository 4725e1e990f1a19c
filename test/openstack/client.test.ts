import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ImageView } from "#protocol/http/images";
import { cryptoGbs } from "../../localstack/tour/bitstreams.ts";
import { until } from "../../localstack/tour/steps.ts";
import { startClient } from "./clients/client.ts";
import { type Gatehouse, startGatehouse } from "./gatehouse.ts";
import { type Account, admin } from "./services/catalog.ts";
import { demo, osSettings } from "./services/keystone.ts";
import { type SharedStack, sharedStack } from "./shared.ts";

const intel = "CUSTOM_FPGA_INTEL_VF";
const region = "69528db6-eb31-577a-9926-ab6d6c925a68";
/** What Cyborg was recorded to say (cyborg-wire.txt). */
const guarded =
  "This operation requires a service token. Use the Compute API to manage instance accelerators.";

interface CliReply {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

type SdkReply =
  | { readonly value: unknown }
  | { readonly error: string; readonly status: number; readonly message: string };

type Row = Readonly<Record<string, unknown>>;

let stack: SharedStack;

beforeAll(async () => {
  stack = await sharedStack();
});

/** A cloud with one Intel card of two functions, an image for it, and the clients of an account. */
interface Desk {
  readonly gatehouse: Gatehouse;
  readonly image: ImageView;
  /** Runs `openstack accelerator …` and reads its JSON; fails unless the command does well. */
  readonly cli: <Output>(...args: readonly string[]) => Promise<Output>;
  /** As cli, with version 2.2 of the API: a process keeps to the version it began with. */
  readonly newer: <Output>(...args: readonly string[]) => Promise<Output>;
  /** As cli, for what is to fail: what it complained of. */
  readonly refused: (...args: readonly string[]) => Promise<string>;
  readonly sdk: (method: string, ...args: readonly unknown[]) => Promise<SdkReply>;
  readonly close: () => Promise<void>;
}

async function deskOf(settings: Readonly<Record<string, string>>, account: Account): Promise<Desk> {
  const gatehouse = await startGatehouse(stack, settings);
  await gatehouse.addHost(stack.where.computeName, { dfl: 1 });
  const image = await gatehouse.upload(cryptoGbs(region));
  await gatehouse.placed(intel, 2);
  const env = { ...osSettings(stack.where.authUrl, account), OS_IDENTITY_API_VERSION: "3" };
  const commands = startClient<CliReply>("cli_client.py", [], env);
  const methods = startClient<SdkReply>("sdk_client.py", [], env);
  return {
    gatehouse,
    image,
    cli: async <Output>(...args: readonly string[]) =>
      outputOf<Output>(args, await commands.ask(args)),
    async newer<Output>(...args: readonly string[]) {
      const version = { OS_ACCELERATOR_API_VERSION: "2.2" };
      const fresh = startClient<CliReply>("cli_client.py", [], { ...env, ...version });
      try {
        return outputOf<Output>(args, await fresh.ask(args));
      } finally {
        await fresh.stop();
      }
    },
    async refused(...args) {
      const { code, err } = await commands.ask(args);
      expect(code).not.toBe(0);
      return err;
    },
    sdk: async (method, ...args) => {
      const last = args.at(-1);
      const named = typeof last === "object" && last !== null && !Array.isArray(last);
      return await methods.ask([method, named ? args.slice(0, -1) : args, named ? last : {}]);
    },
    close: async () => {
      await Promise.all([commands.stop(), methods.stop()]);
      await gatehouse.close();
    },
  };
}

function outputOf<Output>(args: readonly string[], { code, out, err }: CliReply): Output {
  if (code !== 0) throw new Error(`openstack ${args.join(" ")}: ${err}`);
  return (args.includes("json") ? JSON.parse(out) : out) as Output;
}

interface Deployable {
  readonly uuid: string;
  readonly rp_uuid: string;
}

/** The Placement provider of the only card's functions. */
async function providerOf({ accelerator }: Gatehouse): Promise<string> {
  const { body } = await accelerator<{ deployables: Deployable[] }>("GET", "/deployables");
  return body.deployables[0]?.rp_uuid ?? "";
}

const groups = [{ [`resources:${intel}`]: "1", "trait:CUSTOM_HW_INTEL": "required" }];
const json = ["-f", "json"] as const;

describe("an admin with the Debian client, where binding is for services only", () => {
  let desk: Desk;

  beforeAll(async () => {
    desk = await deskOf({}, admin);
  });

  afterAll(async () => {
    await desk?.close();
  });

  test("lists and shows devices and deployables", async () => {
    const { cli, refused } = desk;
    const [device, ...others] = await cli<Row[]>("accelerator", "device", "list", ...json);
    expect(others).toEqual([]);
    expect(device).toMatchObject({
      type: "FPGA",
      vendor: expect.stringMatching(/8086|intel/i) as string,
      hostname: stack.where.computeName,
    });
    const [long] = await cli<Row[]>("accelerator", "device", "list", "--long", ...json);
    expect(long).toMatchObject({ ...device, created_at: expect.any(String) as string });
    const uuid = String(device?.["uuid"]);
    expect(await cli("accelerator", "device", "show", uuid, ...json)).toMatchObject({ uuid });

    const deployables = await cli<Row[]>("accelerator", "deployable", "list", ...json);
    expect(deployables).toHaveLength(2);
    const more = await cli<Row[]>("accelerator", "deployable", "list", "--long", ...json);
    expect(more).toMatchObject(deployables);
    const [{ uuid: first } = { uuid: "" }] = deployables;
    expect(await cli("accelerator", "deployable", "show", String(first), ...json)).toMatchObject({
      uuid: first,
      name: deployables[0]?.["name"],
    });

    const unknown = randomUUID();
    expect(await refused("accelerator", "device", "show", unknown)).toContain("device not found");
    expect(await refused("accelerator", "deployable", "show", unknown)).toContain(
      "deployable not found",
    );
  });

  test("programs a deployable", async () => {
    const [target] = await desk.gatehouse.deployables();
    const { id = "" } = target ?? {};
    const { id: image, functionId } = desk.image;
    await desk.cli("accelerator", "deployable", "program", id, image, ...json);
    await until("the card to say so", async () => {
      const all = await desk.gatehouse.deployables();
      const { loaded } = all.find((one) => one.id === id) ?? {};
      return loaded?.functionId === functionId ? true : undefined;
    });
    expect(
      await desk.refused("accelerator", "deployable", "program", randomUUID(), image),
    ).toContain("deployable not found");
  });

  test("makes, finds and deletes device profiles", async () => {
    const { cli, refused } = desk;
    const profile = ["accelerator", "device", "profile"] as const;
    const text = JSON.stringify(groups);
    const made = await cli<Row>(
      ...profile,
      "create",
      "one",
      text,
      "--description",
      "one card",
      ...json,
    );
    expect(made).toMatchObject({ name: "one", groups, description: "one card" });
    const uuid = String(made["uuid"]);
    expect(await cli(...profile, "list", ...json)).toEqual([
      expect.objectContaining({ uuid, name: "one", groups }),
    ]);
    expect(await cli(...profile, "list", "--long", ...json)).toMatchObject([
      { uuid, created_at: expect.any(String) as string },
    ]);
    expect(await cli(...profile, "show", uuid, ...json)).toMatchObject({ uuid, name: "one" });
    expect(await refused(...profile, "show", "one")).toContain("2.2");
    expect(await desk.newer<Row>(...profile, "show", "one", ...json)).toMatchObject({ uuid });
    expect(await refused(...profile, "create", "one", text)).toContain("already exists");
    await cli(...profile, "delete", uuid);
    expect(await refused(...profile, "show", uuid)).toContain("not found");
    expect(await refused(...profile, "delete", uuid)).toContain(uuid);
  });

  test("makes, finds and deletes requests, and is told that binding is for services", async () => {
    const { cli, refused, gatehouse } = desk;
    const arq = ["accelerator", "arq"] as const;
    const profile = await gatehouse.profile(groups);
    const made = await cli<Row>(...arq, "create", profile, ...json);
    expect(made).toMatchObject({ state: "Initial", device_profile_name: profile });
    const uuid = String(made["uuid"]);
    expect(await cli(...arq, "list", ...json)).toMatchObject([{ uuid, state: "Initial" }]);
    expect(await cli(...arq, "list", "--long", ...json)).toMatchObject([{ uuid, hostname: null }]);
    expect(await cli(...arq, "show", uuid, ...json)).toMatchObject({ uuid });
    expect(await refused(...arq, "show", randomUUID())).toContain("accelerator_request not found");
    const place = [stack.where.computeName, randomUUID(), await providerOf(gatehouse), "admin"];
    expect(await refused(...arq, "bind", uuid, ...place)).toContain(guarded);
    expect(await refused(...arq, "unbind", uuid)).toContain(guarded);
    expect(await gatehouse.arqs()).toMatchObject([{ uuid, state: "Initial" }]);
    await cli(...arq, "delete", uuid);
    expect(await gatehouse.arqs()).toEqual([]);
    expect(await refused(...arq, "delete", uuid)).toContain(uuid);
  });

  test("is refused by the SDK with the recorded answer", async () => {
    const { sdk, gatehouse } = desk;
    const name = await gatehouse.profile(groups);
    const made = await sdk("create_accelerator_request", { device_profile_name: name });
    const { id } = valueOf<{ id: string }>(made);
    const patch = [{ op: "add", path: "/hostname", value: "compute1" }];
    const refusal = await sdk("update_accelerator_request", id, patch);
    expect(refusal).toMatchObject({ status: 403 });
    expect(JSON.stringify(refusal)).toContain(guarded);
    await sdk("delete_accelerator_request", id);
  });
});

function valueOf<Value>(reply: SdkReply): Value {
  if ("error" in reply) throw new Error(`${reply.error}: ${reply.message}`);
  return reply.value as Value;
}

describe("an admin where service tokens are optional", () => {
  let desk: Desk;

  beforeAll(async () => {
    desk = await deskOf({ GATEHOUSE_SERVICE_TOKENS: "optional" }, admin);
  });

  afterAll(async () => {
    await desk?.close();
  });

  test("binds, unbinds and deletes a request with the Debian client", async () => {
    const { cli, gatehouse } = desk;
    const arq = ["accelerator", "arq"] as const;
    const profile = await gatehouse.profile(groups);
    const uuid = String((await cli<Row>(...arq, "create", profile, ...json))["uuid"]);
    const [instance, rp] = [randomUUID(), await providerOf(gatehouse)];
    await cli(...arq, "bind", uuid, stack.where.computeName, instance, rp, "admin", ...json);
    const bound = await until("the request to be bound", async () => {
      const shown = await cli<Row>(...arq, "show", uuid, ...json);
      return shown["state"] === "Bound" ? shown : undefined;
    });
    expect(bound).toMatchObject({
      hostname: stack.where.computeName,
      device_rp_uuid: rp,
      instance_uuid: instance,
      attach_handle_type: "PCI",
      attach_handle_info: expect.objectContaining({ domain: "0000" }) as Row,
    });
    const unbound = await cli<Row>(...arq, "unbind", uuid, ...json);
    expect(unbound).toMatchObject({ state: "Unbound", instance_uuid: null });
    await cli(...arq, "delete", uuid);
    expect(await gatehouse.arqs()).toEqual([]);
    await gatehouse.placed(intel, 2);
  });

  test("reaches everything with every method of the SDK", async () => {
    const { sdk, gatehouse, image } = desk;
    const take = async <Value>(...call: Parameters<Desk["sdk"]>) =>
      valueOf<Value>(await sdk(...call));

    const [device] = await take<Row[]>("devices");
    expect(device).toMatchObject({ hostname: stack.where.computeName });
    expect(await take("get_device", device?.["id"])).toMatchObject({ type: "FPGA" });
    const deployables = await take<Row[]>("deployables");
    expect(deployables).toHaveLength(2);
    const target = deployables[0]?.["id"];
    expect(await take("get_deployable", target)).toMatchObject({ num_accelerators: 1 });
    const program = { op: "replace", path: "/program", value: [{ image_uuid: image.id }] };
    await take("update_deployable", target, [program]);

    const made = await take<Row>("create_device_profile", { name: "sdk", groups });
    const id = made["id"];
    expect(await take("device_profiles")).toContainEqual(
      expect.objectContaining({ id, name: "sdk" }),
    );
    expect(await take("get_device_profile", id)).toMatchObject({ groups });

    const request = await take<Row>("create_accelerator_request", { device_profile_name: "sdk" });
    const uuid = request["id"];
    expect(request).toMatchObject({ state: "Initial", device_profile_group_id: 0 });
    expect(await take("accelerator_requests")).toMatchObject([{ id: uuid }]);
    const instance = randomUUID();
    const bind = [
      { op: "add", path: "/hostname", value: stack.where.computeName },
      { op: "add", path: "/instance_uuid", value: instance },
      { op: "add", path: "/device_rp_uuid", value: await providerOf(gatehouse) },
    ];
    await take("update_accelerator_request", uuid, bind);
    await until("the request to be bound", async () => {
      const { state } = await take<{ state: string }>("get_accelerator_request", uuid);
      return state === "Bound" ? true : undefined;
    });
    expect(await take("accelerator_requests")).toMatchObject([{ instance_uuid: instance }]);
    const unbind = bind.map(({ path }) => ({ op: "remove", path }));
    await take("update_accelerator_request", uuid, unbind);
    expect(await take("get_accelerator_request", uuid)).toMatchObject({ state: "Unbound" });
    await take("delete_accelerator_request", uuid, { ignore_missing: false });
    expect(await sdk("get_accelerator_request", uuid)).toMatchObject({ status: 404 });
    await take("delete_device_profile", id, { ignore_missing: false });
    expect(await sdk("get_device_profile", id)).toMatchObject({ status: 404 });
  });
});

test("a member of a project may use profiles and requests, and sees nobody's cards", async () => {
  const desk = await deskOf({}, demo);
  try {
    const { cli, refused, gatehouse } = desk;
    const profile = await gatehouse.profile(groups);
    const shown = await cli<Row[]>("accelerator", "device", "profile", "list", ...json);
    expect(shown).toMatchObject([{ name: profile }]);
    const text = JSON.stringify(groups);
    expect(await refused("accelerator", "device", "profile", "create", "mine", text)).toContain(
      "Access was denied to the following resource: cyborg:device_profile:create",
    );
    expect(await refused("accelerator", "device", "list")).toContain("cyborg:device:get_all");
    const { uuid } = await cli<Row>("accelerator", "arq", "create", profile, ...json);
    const elsewhere = await gatehouse.accelerator("POST", "/accelerator_requests", {
      json: { device_profile_name: profile },
    });
    expect(elsewhere.status).toBe(201);
    expect(await cli("accelerator", "arq", "list", ...json)).toMatchObject([{ uuid }]);
    await cli("accelerator", "arq", "delete", String(uuid));
  } finally {
    await desk.close();
  }
});
