import { beforeEach, describe, expect, test } from "vitest";
import { askedVersion } from "../../functions/accelerator/microversion.ts";
import { type Asking, admin, type Door, member, openDoor, reader, root } from "./support.ts";

let door: Door;

beforeEach(() => {
  door = openDoor();
});

interface Links {
  readonly links: readonly { readonly href: string }[];
}

describe("versions", () => {
  test("need no token and link to the mount that was used", async () => {
    const away = { headers: { host: "cloud.example", "x-forwarded-proto": "https" } };
    for (const [path, self] of [
      ["/v2", "https://cloud.example/v2/"],
      ["/v2/", "https://cloud.example/v2/"],
      ["/accelerator/v2", "https://cloud.example/accelerator/v2/"],
    ] as const) {
      const { status, body } = await door.ask<Links>("GET", path, away);
      expect([status, body.links[0]?.href]).toEqual([200, self]);
    }
  });

  test.each(["/accelerator", "/accelerator/"])("of the service are listed at %s", async (path) => {
    const { body, headers } = await door.ask<{ default_version: Links }>("GET", path);
    expect(body.default_version.links[0]?.href).toBe(`${root}/accelerator/v2`);
    expect(headers).not.toHaveProperty("vary");
  });

  test.each([
    [undefined, 0],
    ["accelerator 2.1", 1],
    ["2.2", 2],
    ["latest", 3],
    ["compute 2.82, accelerator 2.3", 3],
    ["Accelerator LATEST", 3],
  ] as const)("%j asks for minor version %i", (header, minor) => {
    expect(askedVersion(header)).toEqual({ minor });
  });

  test.each([
    ["accelerator 2.4", /Version 2\.4 was requested but the minor version/],
    ["accelerator 3.0", /Mutually exclusive versions requested/],
    ["accelerator two", /Invalid value/],
    ["compute 2.82", /Invalid value/],
    ["accelerator 2.1 please", /Invalid value/],
    ["", /Invalid value/],
  ])("%j cannot be had", async (version, why) => {
    const { status, fault, headers } = await door.ask("GET", "/v2/device_profiles", { version });
    expect(status).toBe(406);
    expect(fault).toMatch(why);
    expect(headers).not.toHaveProperty("openstack-api-version");
    expect(headers["openstack-api-maximum-version"]).toBe("2.3");
  });
});

describe("a path", () => {
  test.each([
    "/v2/device_profiles/",
    "/v2/device_profiles.json",
    "/accelerator/device_profiles",
    "/accelerator/v2/device_profiles",
  ])("%s is that of the profiles", async (path) => {
    const { status, body } = await door.ask("GET", path);
    expect([status, body]).toEqual([200, { device_profiles: [] }]);
  });

  test.each(["/v2/bogus", "/v2/devices/x/y", "/accelerator/v1/devices", "/v1/"])(
    "%s is not there",
    async (path) => {
      const { status, body } = await door.ask<{ error_message: string }>("GET", path);
      expect(status).toBe(404);
      expect(body.error_message).toMatch(/^<html>[\s\S]*404 Not Found/);
    },
  );

  test.each([
    ["PUT", "/v2/device_profiles/x", "GET, DELETE"],
    ["HEAD", "/v2/device_profiles", "GET, POST, DELETE"],
    ["PATCH", "/v2/devices", "GET"],
    ["POST", "/v2", "GET"],
  ])("is not there with %s %s", async (method, path, allow) => {
    const { status, headers, body } = await door.ask<{ error_message: string }>(method, path);
    expect([status, headers["allow"]]).toEqual([405, allow]);
    const told = { code: 405, title: "Method Not Allowed", description: "" };
    expect(JSON.parse(body.error_message)).toEqual(told);
  });

  test("answers OPTIONS with nothing, to anyone", async () => {
    const { status, text } = await door.ask("OPTIONS", "/v2/devices", {
      headers: { host: "evil" },
    });
    expect([status, text]).toEqual([200, ""]);
  });
});

describe("content", () => {
  test.each([
    ["application/xml", 406],
    ["text/html", 406],
    ["application/json;q=0", 406],
    ["application/json", 200],
    ["text/html, */*;q=0.1", 200],
  ])("Accept: %s is answered with %i", async (accept, status) => {
    const answer = await door.ask("GET", "/v2/device_profiles", { headers: { accept } });
    expect(answer.status).toBe(status);
    expect(answer.text).not.toContain("<script>");
  });

  test("an Accept header cannot put markup into the page", async () => {
    const accept = "<script>";
    const { text } = await door.ask("GET", "/v2/device_profiles", { headers: { accept } });
    expect(text).toContain("&lt;script&gt;");
  });

  test.each([
    ["application/xml", "<a/>", 415, /content type/],
    ["text/plain", "[]", 400, /^Unknown argument/],
    ["application/x-www-form-urlencoded", "[]", 400, /^Unknown argument/],
    ["application/json", "nope", 400, /not in valid JSON/],
    ["application/json", "", 400, /not in valid JSON/],
  ])("a body of type %s: %s is refused with %i", async (type, text, status, why) => {
    const asking = { ...admin, text, headers: { "content-type": type } };
    const answer = await door.ask("POST", "/v2/device_profiles", asking);
    expect(answer.status).toBe(status);
    expect(answer.fault).toMatch(why);
  });

  test("an argument that no one knows is refused by name", async () => {
    const { status, fault } = await door.ask("GET", "/v2/deployables?name=x", admin);
    expect([status, fault]).toEqual([400, 'Unknown argument: "name"']);
  });
});

describe("who asks", () => {
  test("is told where to get a token when it has none", async () => {
    const challenge = 'Keystone uri="http://keystone/v3"';
    const identify = async () => await Promise.resolve("unauthenticated" as const);
    const closed = openDoor({ challenge }, { identify });
    const { status, headers, body } = await closed.ask("GET", "/v2/nowhere");
    expect([status, headers["www-authenticate"]]).toEqual([401, challenge]);
    expect(headers["openstack-api-version"]).toBe("accelerator 2.0");
    const message = "The request you have made requires authentication.";
    expect(body).toEqual({ error: { code: 401, title: "Unauthorized", message } });
  });

  test("is refused without a role", async () => {
    const { status } = await door.ask("GET", "/v2/device_profiles", { roles: "stranger" });
    expect(status).toBe(403);
  });

  const paths: readonly (readonly [string, string, string])[] = [
    ["GET", "/v2/device_profiles", "cyborg:device_profile:get_all"],
    ["GET", "/v2/device_profiles/x", "cyborg:device_profile:get_one"],
    ["POST", "/v2/device_profiles", "cyborg:device_profile:create"],
    ["DELETE", "/v2/device_profiles/x", "cyborg:device_profile:delete"],
    ["DELETE", "/v2/device_profiles", "cyborg:device_profile:delete"],
    ["GET", "/v2/accelerator_requests", "cyborg:arq:get_all"],
    ["GET", "/v2/accelerator_requests/x", "cyborg:arq:get_one"],
    ["POST", "/v2/accelerator_requests", "cyborg:arq:create"],
    ["PATCH", "/v2/accelerator_requests", "cyborg:arq:update"],
    ["DELETE", "/v2/accelerator_requests", "cyborg:arq:delete"],
    ["GET", "/v2/devices", "cyborg:device:get_all"],
    ["GET", "/v2/devices/x", "cyborg:device:get_one"],
    ["POST", "/v2/devices/x/enable", "cyborg:device:enable"],
    ["POST", "/v2/devices/x/disable", "cyborg:device:disable"],
    ["GET", "/v2/deployables", "cyborg:deployable:get_all"],
    ["GET", "/v2/deployables/x", "cyborg:deployable:get_one"],
    ["PATCH", "/v2/deployables/x/program", "cyborg:deployable:program"],
    ["PATCH", "/v2/deployables/x/program/x", "cyborg:deployable:program"],
    ["GET", "/v2/attributes", "cyborg:attribute:get_all"],
    ["GET", "/v2/attributes/x", "cyborg:attribute:get_one"],
    ["POST", "/v2/attributes", "cyborg:attribute:create"],
    ["DELETE", "/v2/attributes/x", "cyborg:attribute:delete"],
  ];
  const hardwareReads = paths.filter(([method, path]) =>
    method === "GET" ? /devices|deployables|attributes/.test(path) : false,
  );
  const adminOnly = paths.filter(([method, path]) =>
    method === "GET" ? false : !path.includes("accelerator_requests"),
  );
  const arqChanges = paths.filter(([method, path]) =>
    method === "GET" ? false : path.includes("accelerator_requests"),
  );
  const arqReads = paths.filter(([, , rule]) => rule.startsWith("cyborg:arq:get"));

  /** Which rules refuse these roles. */
  async function refusedTo(asked: Door, asking: Asking): Promise<readonly string[]> {
    const rules: string[] = [];
    for (const [method, path, rule] of paths) {
      const { status, fault } = await asked.ask(method, path, asking);
      const told = `Access was denied to the following resource: ${rule}`;
      if (status === 403 && fault === told) rules.push(rule);
    }
    return rules;
  }
  const rulesOf = (some: typeof paths) => some.map(([, , rule]) => rule);
  const sameRules = (some: readonly string[]) => [...some].toSorted();

  test.each([
    ["legacy", "admin", []],
    ["legacy", "member,reader", [...hardwareReads, ...adminOnly]],
    ["legacy", "reader", [...hardwareReads, ...adminOnly, ...arqChanges]],
    ["legacy", "manager", [...hardwareReads, ...adminOnly]],
    ["legacy", "service", [...hardwareReads, ...adminOnly]],
    ["personas", "admin", []],
    ["personas", "manager,member,reader", adminOnly],
    ["personas", "member,reader", [...hardwareReads, ...adminOnly]],
    ["personas", "reader", [...hardwareReads, ...adminOnly, ...arqChanges]],
    ["personas", "service", [...hardwareReads, ...adminOnly, ...arqReads, ...paths.slice(0, 2)]],
  ] as const)("policy %s refuses %s what it must", async (policy, roles, refused) => {
    const asked = openDoor({ policy });
    expect(sameRules(await refusedTo(asked, { roles }))).toEqual(sameRules(rulesOf(refused)));
  });

  test("a reader may look, but make no request", async () => {
    const body = { device_profile_name: "dp1" };
    expect((await door.ask("POST", "/v2/accelerator_requests", { ...reader, body })).status).toBe(
      403,
    );
    expect((await door.ask("POST", "/v2/accelerator_requests", { ...member, body })).status).toBe(
      404,
    );
  });
});

describe("what goes wrong inside", () => {
  test("shows nothing of itself but the request's id, and is logged", async () => {
    const secret = "SELECT * FROM profiles WHERE password = 'x'";
    const broken = openDoor(
      {},
      {
        identify: async () => await Promise.reject(new Error(secret)),
      },
    );
    const { status, text, headers, fault } = await broken.ask("GET", "/v2/devices");
    expect(status).toBe(500);
    expect(text).not.toContain("SELECT");
    expect(text).not.toContain(".ts:");
    expect(fault).toBe(`Internal error, request ${headers["x-openstack-request-id"] ?? ""}`);
    expect(broken.logged).toHaveLength(1);
  });

  test("a request's id is made anew for each answer", async () => {
    const headers = { "x-openstack-request-id": "req-mine" };
    const one = await door.ask("GET", "/v2", { headers });
    const two = await door.ask("GET", "/v2", { headers });
    const ids = [one, two].map((answer) => answer.headers["x-openstack-request-id"]);
    expect(ids[0]).toMatch(/^req-[0-9a-f-]{36}$/);
    expect(new Set(["req-mine", ...ids]).size).toBe(3);
  });
});
