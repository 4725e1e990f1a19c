import * as fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";
import type { Deployable } from "#domain/deployable";
import type { Device, Host } from "#domain/host";
import { providerId } from "#protocol/uuid";
import { changeDeployable, readDeployable } from "#store/deployables";
import { addDeployable, addHost, handleOf, heldHandle, idOf } from "../http/rows.ts";
import { addDevice, admin, type Door, openDoor, providerOf, root } from "./support.ts";

const devicesPath = "/accelerator/v2/devices";
const deployablesPath = "/accelerator/v2/deployables";

let door: Door;
let host: Host;
let ports: readonly Deployable[];
let device: Device;

beforeEach(async () => {
  await prepare();
});

async function prepare(settings: Parameters<typeof openDoor>[0] = {}): Promise<void> {
  door = openDoor(settings);
  host = await addHost(door.store, "cmp1");
  ports = [
    await addDeployable(door.store, host, "port0"),
    await addDeployable(door.store, host, "port1"),
  ];
  device = await addDevice(door.store, host, ports);
}

interface DeviceBody {
  readonly uuid: string;
  readonly status?: string;
  readonly std_board_info: string;
  readonly created_at: string;
}

interface DeployableBody {
  readonly uuid: string;
  readonly name: string;
  readonly rp_uuid: string | null;
  readonly device_id: number;
  readonly num_accelerators: number;
  readonly attributes_list: string;
  readonly bitstream_id: string | null;
  readonly links: readonly { readonly href: string; readonly rel: string }[];
}

async function devices(query = "", version?: string): Promise<readonly DeviceBody[]> {
  const asking = version === undefined ? admin : { ...admin, version };
  const answer = await door.ask<{ devices: DeviceBody[] }>("GET", devicesPath + query, asking);
  expect(answer.status).toBe(200);
  return answer.body.devices;
}

async function deployables(query = ""): Promise<readonly DeployableBody[]> {
  const path = deployablesPath + query;
  const answer = await door.ask<{ deployables: DeployableBody[] }>("GET", path, admin);
  expect(answer.status).toBe(200);
  return answer.body.deployables;
}

const filter = (field: string, value: string) =>
  `?filters[0].field=${field}&filters[0].value=${encodeURIComponent(value)}`;

/** A second card: a network card of another host. */
async function addNetworkCard(): Promise<Device> {
  const other = await addHost(door.store, "cmp2");
  const nic = await addDeployable(door.store, other, "nic", {
    kind: "NIC",
    product: "e810",
    resourceClass: "CUSTOM_NIC",
    enabled: false,
    handles: {
      vf0: heldHandle("p1", idOf("claim"), {
        type: "MDEV",
        holder: { claim: idOf("claim"), project: "p1", instance: idOf("vm"), binding: false },
      }),
    },
  });
  return await addDevice(door.store, other, [nic], {
    kind: "NIC",
    vendor: "mellanox",
    pciVendor: "15b3",
    product: "e810",
  });
}

describe("devices", () => {
  test("say what card it is, and from 2.3 on whether it is offered", async () => {
    const [old] = await devices();
    expect(old).not.toHaveProperty("status");
    expect(JSON.parse(old?.std_board_info ?? "")).toEqual({
      device_id: "0x0b30",
      class: "Processing accelerators",
    });
    const [one] = await devices("", "2.3");
    expect(one?.status).toBe("enabled");
    expect((await door.ask("GET", `${devicesPath}/${device.id}`, admin)).body).toEqual(old);
  });

  test.each([
    ["?type=FPGA", true, false],
    ["?type=NIC", false, true],
    ["?type=BOAT", false, false],
    ["?vendor=0x8086", true, false],
    ["?vendor=Mellanox", false, true],
    ["?hostname=cmp1", true, false],
    ["?hostname=none", false, false],
    ["?type=FPGA&vendor=0x8086&hostname=cmp2", false, false],
    [filter("board", "n3000"), true, false],
    [filter("name", "cmp1_0000:3b:00.0"), true, false],
    [filter("availability", "available"), true, false],
    [filter("availability", "unavailable"), false, true],
    [filter("interface_type", "PCI"), true, false],
    [filter("interface_type", "mdev"), false, true],
    [filter("instance_uuid", idOf("vm")), false, true],
    [filter("parent_uuid", idOf("cmp1/card")), false, false],
    [filter("root_uuid", idOf("cmp1/card")), true, false],
  ])("asked for by %s are those that are meant", async (query, fpga, nic) => {
    const other = await addNetworkCard();
    const found = new Set((await devices(query)).map(({ uuid }) => uuid));
    expect([found.has(device.id), found.has(other.id)]).toEqual([fpga, nic]);
  });

  test.each([
    filter("bogus", "x"),
    filter("availability", "maybe"),
    filter("limit", "0"),
    "?limit=none",
    "?marker=x",
    "?sort_dir=up",
    "?sort_key=bogus",
    "?bogus=1",
  ])("asked for by %s are refused", async (query) => {
    expect((await door.ask("GET", devicesPath + query, admin)).status).toBe(400);
  });

  test("that are gone are not there any more", async () => {
    await addDevice(door.store, host, ports, { present: false });
    expect(await devices()).toEqual([]);
    const { status, fault } = await door.ask("GET", `${devicesPath}/${device.id}`, admin);
    expect([status, fault]).toEqual([404, `Device not found with uuid=${device.id}`]);
    expect((await door.ask("GET", `${devicesPath}/x`, admin)).status).toBe(400);
  });

  test("are disabled and enabled with all that is on them", async () => {
    const enabledNow = async () =>
      await Promise.all(
        ports.map(async ({ id }) => (await readDeployable(door.store, host.id, id))?.enabled),
      );
    const disabled = await door.ask("POST", `${devicesPath}/${device.id}/disable`, admin);
    expect([disabled.status, disabled.text]).toEqual([204, ""]);
    expect(await enabledNow()).toEqual([false, false]);
    expect((await devices("", "2.3"))[0]?.status).toBe("maintaining");
    const enabled = await door.ask("POST", `${devicesPath}/${device.id}/enable`, admin);
    expect(enabled.status).toBe(204);
    expect(await enabledNow()).toEqual([true, true]);
    expect((await devices("", "2.3"))[0]?.status).toBe("enabled");
    const none = await door.ask("POST", `${devicesPath}/${idOf("none")}/enable`, admin);
    expect(none.status).toBe(404);
  });

  test("are read page by page in one order, whatever the page's size", async () => {
    for (let n = 0; n < 12; n += 1) {
      await addDevice(door.store, host, [], { id: idOf(`card${n}`), product: `p${n % 3}` });
    }
    const sizes = fc.integer({ min: 1, max: 15 });
    const orders = fc.constantFrom("", "&sort_key=model", "&sort_key=model&sort_dir=desc");
    const walked = fc.asyncProperty(sizes, orders, async (size, order) => {
      const whole = (await devices(order.replace("&", "?"))).map(({ uuid }) => uuid);
      const found: string[] = [];
      for (let marker = ""; ; ) {
        const page = await devices(`?limit=${size}${order}${marker}`);
        if (page.length === 0) break;
        expect(page.length).toBeLessThanOrEqual(size);
        found.push(...page.map(({ uuid }) => uuid));
        marker = `&marker=${found.at(-1) ?? ""}`;
      }
      expect(found).toEqual(whole);
      expect(found).toHaveLength(13);
    });
    await fc.assert(walked, { numRuns: 15 });
  });
});

describe("deployables", () => {
  test("name their provider, their card and what they can do", async () => {
    const [port] = ports;
    const found = (await deployables()).find(({ uuid }) => uuid === port?.id);
    if (port === undefined) throw new Error("there is a port");
    expect(found).toMatchObject({
      name: "cmp1_0000:3b:00.0_port0",
      rp_uuid: await providerOf(door, host, port),
      device_id: Number.parseInt(device.id.slice(0, 8), 16) >>> 1,
      num_accelerators: 1,
      bitstream_id: null,
    });
    expect(JSON.parse(found?.attributes_list ?? "")).toEqual([
      { traits1: "CUSTOM_FPGA" },
      { traits2: "CUSTOM_HW_INTEL" },
      { rc: "CUSTOM_FPGA_INTEL_PF" },
    ]);
    expect(found?.links).toEqual([
      { href: `${root}${deployablesPath}/${port.id}`, rel: "self" },
      { href: `${root}/accelerator/deployables/${port.id}`, rel: "bookmark" },
    ]);
    const one = await door.ask("GET", `${deployablesPath}/${port.id}`, admin);
    expect(one.body).toEqual(found);
  });

  test("have links that resolve on the other mount too", async () => {
    const path = `/v2/deployables/${ports[0]?.id ?? ""}`;
    const { body } = await door.ask<DeployableBody>("GET", path, admin);
    for (const { href } of body.links) {
      const { status } = await door.ask("GET", href.slice(root.length), admin);
      expect(status).toBe(200);
    }
  });

  test.each(["pool", "tree", "cyborg"] as const)(
    "of shape %s name the provider that Placement is told of",
    async (shape) => {
      await prepare({ shape });
      const named = (await deployables()).map(({ rp_uuid: provider }) => provider);
      const wanted = await Promise.all(ports.map(async (one) => await providerOf(door, host, one)));
      expect(new Set(named)).toEqual(new Set(wanted));
    },
  );

  test("of Cyborg's shape have its names and its class", async () => {
    await prepare({ shape: "cyborg" });
    const [one] = await deployables();
    expect(one?.name).toBe("cmp1_0000:3b:00.0");
    expect(one?.rp_uuid).toBe(providerId("cmp1_0000:3b:00.0"));
    expect(one?.attributes_list).toContain('{"rc":"FPGA"}');
  });

  test("show what is really loaded", async () => {
    const [port] = ports;
    if (port === undefined) throw new Error("there is a port");
    const loaded = { functionId: idOf("function"), imageId: idOf("image"), sha256: "a" };
    const change = (one: Deployable) => ({ ...one, loaded, loadedType: "crypto", revision: 2 });
    await changeDeployable(door.store, port, change);
    const found = (await deployables()).find(({ uuid }) => uuid === port.id);
    expect(found?.bitstream_id).toBe(idOf("image"));
    expect(found?.attributes_list).toContain("CUSTOM_ACCELERATOR_CRYPTO");
  });

  test("are filtered by what they are", async () => {
    await addNetworkCard();
    expect(await deployables(filter("name", "cmp1_0000:3b:00.0_port1"))).toHaveLength(1);
    expect(await deployables(filter("board", "e810"))).toHaveLength(1);
    expect(await deployables(filter("availability", "available"))).toHaveLength(2);
    expect(await deployables("?limit=2")).toHaveLength(2);
    expect(await deployables()).toHaveLength(3);
  });

  test("that are gone are shown only while a claim holds them", async () => {
    const facts = { present: false, handles: { pf: handleOf() } };
    const gone = await addDeployable(door.store, host, "gone", facts);
    const kept = await addDeployable(door.store, host, "kept", {
      present: false,
      handles: { pf: heldHandle("p1", idOf("claim")) },
    });
    const ids = (await deployables()).map(({ uuid }) => uuid);
    expect([ids.includes(gone.id), ids.includes(kept.id)]).toEqual([false, true]);
    const { status, fault } = await door.ask("GET", `${deployablesPath}/${gone.id}`, admin);
    expect([status, fault]).toEqual([404, `Deployable not found with uuid=${gone.id}`]);
    const none = await door.ask("GET", `${deployablesPath}/${idOf("none")}`, admin);
    expect(none.status).toBe(404);
  });

  test("too many for one answer have to be read in pages", async () => {
    const description = "x".repeat(60_000);
    for (let n = 0; n < 100; n += 1) {
      await addDevice(door.store, host, [], { id: idOf(`card${n}`), product: description });
    }
    const { status, fault } = await door.ask("GET", devicesPath, admin);
    expect([status, fault]).toEqual([
      400,
      "The list is too long for one answer: use limit and marker",
    ]);
    expect(await devices("?limit=50")).toHaveLength(50);
  });
});
