import { beforeEach, describe, expect, test } from "vitest";
import { readProfile } from "#store/named";
import { idOf } from "../http/rows.ts";
import { admin, type Door, member, openDoor } from "./support.ts";

let door: Door;

beforeEach(() => {
  door = openDoor();
});

interface ProfileBody {
  readonly uuid: string;
  readonly name: string;
  readonly description: string;
  readonly groups: readonly Readonly<Record<string, string>>[];
  readonly created_at: string;
  readonly updated_at: null;
}

const path = "/accelerator/v2/device_profiles";
const groups = [{ "resources:FPGA": "1" }];

async function create(profile: object) {
  return await door.ask<ProfileBody>("POST", path, { ...admin, body: [profile] });
}

async function names(query = ""): Promise<readonly string[]> {
  const { body } = await door.ask<{ device_profiles: ProfileBody[] }>("GET", path + query);
  return body.device_profiles.map(({ name }) => name).toSorted();
}

describe("a device profile", () => {
  test("is the same profile as that of the native API", async () => {
    const { status, body } = await create({ name: "dp1", groups, description: "d" });
    expect(status).toBe(201);
    expect(await readProfile(door.store, "dp1")).toMatchObject({
      id: body.uuid,
      description: "d",
      groups,
    });
  });

  test("keeps its values as text and its traits without blanks", async () => {
    const group = { "resources:FPGA": 3, "trait: CUSTOM_A ": "required" };
    const { body } = await create({ name: "dp1", groups: [group], unknown: true });
    expect(body.groups).toEqual([{ "resources:FPGA": "3", "trait:CUSTOM_A": "required" }]);
  });

  test("has the uuid that its maker chose", async () => {
    const uuid = idOf("chosen");
    expect((await create({ name: "dp1", groups, uuid })).body.uuid).toBe(uuid);
    const upper = await create({ name: "dp2", groups, uuid: idOf("other").toUpperCase() });
    expect(upper.body.uuid).toBe(idOf("other"));
  });

  test("is found by its uuid at once, and by its name from 2.2 on", async () => {
    const { body } = await create({ name: "dp1", groups });
    const byId = await door.ask<{ device_profile: ProfileBody }>("GET", `${path}/${body.uuid}`);
    expect(byId.body.device_profile.name).toBe("dp1");
    const old = await door.ask("GET", `${path}/dp1`, { version: "accelerator 2.1" });
    expect(old.status).toBe(406);
    const byName = await door.ask<{ device_profile: ProfileBody }>("GET", `${path}/dp1`, {
      version: "accelerator 2.2",
    });
    expect(byName.body.device_profile.uuid).toBe(body.uuid);
  });

  test.each([
    [`${path}/${idOf("none")}`, `Device Profile not found with uuid=${idOf("none")}`],
    [`${path}/none`, "Device Profile not found with name=none"],
  ])("that is not there is 404: %s", async (target, told) => {
    const { status, fault } = await door.ask("GET", target, { version: "latest" });
    expect([status, fault]).toEqual([404, told]);
  });

  test("is listed by names, where unknown ones are left out", async () => {
    for (const name of ["a", "b", "c"]) await create({ name, groups });
    expect(await names()).toEqual(["a", "b", "c"]);
    expect(await names("?name=a,none,%20c")).toEqual(["a", "c"]);
    expect(await names("?name=none")).toEqual([]);
  });

  test("is not made twice, and neither is its uuid", async () => {
    const uuid = idOf("chosen");
    await create({ name: "dp1", groups, uuid });
    const again = await create({ name: "dp1", groups });
    expect([again.status, again.fault]).toEqual([
      409,
      "A device_profile with name dp1 already exists.",
    ]);
    const other = await create({ name: "dp2", groups, uuid });
    expect([other.status, other.fault]).toEqual([
      500,
      `A device_profile with uuid ${uuid} already exists.`,
    ]);
    expect(await names()).toEqual(["dp1"]);
  });

  test("cannot be changed", async () => {
    const { body } = await create({ name: "dp1", groups });
    expect((await door.ask("PUT", `${path}/${body.uuid}`, admin)).status).toBe(405);
    expect((await door.ask("PATCH", `${path}/${body.uuid}`, admin)).status).toBe(405);
  });
});

describe("deleting profiles", () => {
  test("takes a uuid or a name, once", async () => {
    const { body } = await create({ name: "dp1", groups });
    await create({ name: "dp2", groups });
    expect((await door.ask("DELETE", `${path}/${body.uuid}`, admin)).status).toBe(204);
    expect((await door.ask("DELETE", `${path}/dp2`, admin)).status).toBe(204);
    expect((await door.ask("DELETE", `${path}/dp2`, admin)).status).toBe(404);
    expect((await door.ask("DELETE", `${path}/${body.uuid}`, admin)).status).toBe(404);
    expect((await create({ name: "dp1", groups, uuid: body.uuid })).status).toBe(201);
  });

  test("of a list goes in order and stops at what is not there", async () => {
    for (const name of ["a", "b", "c"]) await create({ name, groups });
    const { status, fault } = await door.ask("DELETE", `${path}?value=a,none,b`, admin);
    expect([status, fault]).toEqual([404, "Device Profile not found with name=none"]);
    expect(await names()).toEqual(["b", "c"]);
    expect((await door.ask("DELETE", `${path}?value=b,c`, admin)).status).toBe(204);
    expect(await names()).toEqual([]);
  });

  test.each(["", "?value=", "?value=,"])("needs to know which: %j", async (query) => {
    const { status, fault } = await door.ask("DELETE", path + query, admin);
    expect([status, fault]).toEqual([400, 'Missing argument: "value"']);
  });

  test("is refused while requests were made by it", async () => {
    await create({ name: "dp1", groups });
    const made = await door.ask<{ arqs: { uuid: string }[] }>("POST", "/v2/accelerator_requests", {
      ...member,
      body: { device_profile_name: "dp1" },
    });
    const { status, fault } = await door.ask("DELETE", `${path}/dp1`, admin);
    expect([status, fault]).toEqual([409, "Device profile dp1 is in use by accelerator requests."]);
    const arq = made.body.arqs[0]?.uuid ?? "";
    expect((await door.ask("DELETE", `/v2/accelerator_requests/${arq}`, member)).status).toBe(204);
    expect((await door.ask("DELETE", `${path}/dp1`, admin)).status).toBe(204);
  });
});

const long = "x".repeat(256);
const uuid = idOf("image");

describe("a profile that is refused", () => {
  test.each<[unknown, number, RegExp]>([
    [[], 400, /^Only one device profile allowed/],
    [[{}, {}], 400, /^Only one device profile allowed/],
    [{}, 400, /^Only one device profile allowed/],
    [["dp1"], 400, /must be an object/],
    [[{ groups }], 500, /^DeviceProfile name needed\.$/],
    [[{ name: "", groups }], 500, /^DeviceProfile name needed\.$/],
    [[{ name: "a b", groups }], 400, /must be of the form/],
    [[{ name: 7, groups }], 400, /must be of the form/],
    [[{ name: long, groups }], 500, /longer than 255/],
    [[{ name: "a", groups: [] }], 400, /needs groups field/],
    [[{ name: "a", groups: {} }], 400, /must be a list/],
    [[{ name: "a", groups: ["x"] }], 400, /must be a list/],
    [[{ name: "a", groups: Array.from({ length: 17 }, () => groups[0]) }], 400, /at most 16/],
    [[{ name: "a", groups, description: 7 }], 400, /description/],
    [[{ name: "a", groups, uuid: "x" }], 400, /^Expected a uuid but received x\.$/],
  ])("%j with %i", async (body, status, why) => {
    const answer = await door.ask("POST", path, { ...admin, body });
    expect(answer.status).toBe(status);
    expect(answer.fault).toMatch(why);
    expect(await names()).toEqual([]);
  });

  test.each<[object, RegExp]>([
    [{ foo: "1" }, /group keys must be of the form/],
    [{ "trait:HW_X": "required" }, /Unsupported trait name format HW_X/],
    [{ "trait:CUSTOM_a-b": "required" }, /Unsupported trait name format/],
    [
      { "trait:CUSTOM_A": "wanted" },
      /Unsupported trait value wanted, .*\['required', 'forbidden'\]/,
    ],
    [{ "resources:BAR": "1" }, /^Unsupported resource class BAR$/],
    [{ "resources:CUSTOM_a": "1" }, /^Unsupported resource class CUSTOM_a$/],
    [{ "resources:FPGA": "one" }, /^Resources number one is invalid$/],
    [{ "resources:FPGA": "0" }, /^Resources number 0 is invalid$/],
    [{ "resources:FPGA": -1 }, /^Resources number -1 is invalid$/],
    [{ "resources:FPGA": null }, /must be text/],
    [{ "resources:FPGA": { a: 1 } }, /must be text/],
    [{ "trait:CUSTOM_A": "required" }, /at least one resources/],
    [{ "resources:FPGA": 1, "accel:bitstream_id": "x" }, /^Invalid value for accel:bitstream_id/],
    [{ "resources:FPGA": 1, "accel:function_id": "x" }, /^Invalid value for accel:function_id/],
    [{ "resources:FPGA": 1, "accel:function_id": uuid, "accel:bitstream_id": uuid }, /not both/],
    [Object.fromEntries(Array.from({ length: 65 }, (_, n) => [`accel:k${n}`, "v"])), /64 keys/],
  ])("for its group %j", async (group, why) => {
    const answer = await create({ name: "a", groups: [group] });
    expect(answer.status).toBe(400);
    expect(answer.fault).toMatch(why);
  });

  test.each(["FPGA", "GPU", "VGPU", "PGPU", "CUSTOM_QAT", "CUSTOM_FPGA_INTEL_PF"])(
    "is none that asks for %s",
    async (name) => {
      const group = { [`resources:${name}`]: "2", "accel:bitstream_id": uuid };
      expect((await create({ name: "a", groups: [group] })).status).toBe(201);
    },
  );
});
