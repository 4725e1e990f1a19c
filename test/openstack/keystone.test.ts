import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { tokenValidator } from "#openstack/keystone";
import { create } from "../../functions/http/authorizer.ts";
import { identifierFrom } from "../../functions/parts/identity.ts";
import { openstackFrom } from "../../functions/parts/openstack.ts";
import type { Account } from "./services/catalog.ts";
import {
  demo,
  type Keystone,
  osSettings,
  serviceAccount,
  startKeystone,
} from "./services/keystone.ts";
import { rest, restOk } from "./services/rest.ts";

const own = serviceAccount("gatehouse");
const settings = { GATEHOUSE_TABLE: "t", GATEHOUSE_BUCKET: "b", GATEHOUSE_AUTH: "keystone" };

let keystone: Keystone;
let isUp = false;
let environment: Readonly<Record<string, string>>;
beforeAll(async () => {
  keystone = await startKeystone();
  isUp = true;
  environment = { ...settings, ...osSettings(keystone.authUrl, own) };
  await keystone.catalog.endpoint("placement", "http://127.0.0.1:1/placement/");
});
afterAll(async () => {
  if (isUp) await keystone.stop();
});

const stop = async () => {
  isUp = false;
  await keystone.stop();
};

/** The session of the functions, with some settings changed. */
function session(changed: Readonly<Record<string, string>> = {}) {
  const openstack = openstackFrom({ ...environment, ...changed });
  if (openstack === undefined) throw new Error("OpenStack is off");
  return openstack;
}

const validator = (openstack = session(), cacheMs = 0) =>
  tokenValidator({ openstack, now: Date.now, cacheMs });

const tokens = () => `${keystone.authUrl}/auth/tokens`;

async function revoke(token: string): Promise<void> {
  const admin = await keystone.catalog.token();
  const headers = { "x-subject-token": token };
  await restOk({ method: "DELETE", url: tokens(), token: admin, headers });
}

/** A token of the account, scoped as said. */
async function scoped({ username: name, password }: Account, scope?: object): Promise<string> {
  const user = { name, password, domain: { id: "default" } };
  const identity = { methods: ["password"], password: { user } };
  const { headers, status } = await rest({
    method: "POST",
    url: tokens(),
    json: { auth: { identity, scope: scope ?? "unscoped" } },
  });
  expect(status).toBe(201);
  return headers.get("x-subject-token") ?? "";
}

describe("our session", () => {
  test("finds its way by the catalog of the region", async () => {
    expect(await session().endpoint("placement")).toBe("http://127.0.0.1:1/placement");
    expect(await session().endpoint("image")).toBeUndefined();
    const elsewhere = session({ OS_REGION_NAME: "RegionTwo" });
    expect(await elsewhere.endpoint("placement")).toBeUndefined();
  });

  test("renews a token that was revoked", async () => {
    const project = { service: "identity", method: "GET", path: "/auth/projects" } as const;
    const seen: string[] = [];
    const watched = openstackFrom(environment, {
      now: Date.now,
      fetch: async (url, init) => {
        seen.push(new Headers(init?.headers).get("x-auth-token") ?? "new");
        return await fetch(url, init);
      },
    });
    expect((await watched?.send(project))?.status).toBe(200);
    await revoke(seen[1] ?? "");
    expect((await watched?.send(project))?.status).toBe(200);
    expect(seen.map((token) => token === "new")).toEqual([true, false, false, true, false]);
  });

  test("opens with an application credential", async () => {
    const token = await keystone.catalog.token(own);
    const [user] = (
      await restOk<{ users: { id: string }[] }>({
        method: "GET",
        url: `${keystone.authUrl}/users?name=${own.username}`,
        token,
      })
    ).users;
    const { application_credential: made } = await restOk<{
      application_credential: { id: string; secret: string };
    }>({
      method: "POST",
      url: `${keystone.authUrl}/users/${user?.id}/application_credentials`,
      token,
      json: { application_credential: { name: "functions" } },
    });
    const password = { OS_USERNAME: "", OS_PASSWORD: "", OS_PROJECT_NAME: "" };
    const secret = { OS_APPLICATION_CREDENTIAL_SECRET: made.secret };
    const byId = { ...password, ...secret, OS_APPLICATION_CREDENTIAL_ID: made.id };
    const named = { ...secret, OS_APPLICATION_CREDENTIAL_NAME: "functions" };
    for (const changed of [byId, named]) {
      expect(await session(changed).endpoint("placement")).toContain("/placement");
    }
    const wrong = session({ ...byId, OS_APPLICATION_CREDENTIAL_SECRET: "wrong" });
    await expect(wrong.endpoint("placement")).rejects.toThrow(
      `Keystone refuses the application credential ${made.id} (401)`,
    );
  });

  test("says that Keystone does not want our account", async () => {
    await expect(session({ OS_PASSWORD: "wrong" }).endpoint("placement")).rejects.toMatchObject({
      code: "OPENSTACK_UNAVAILABLE",
      message: `identity at ${tokens()}: Keystone refuses the user gatehouse (401)`,
    });
  });
});

describe("a token", () => {
  test("tells who brings it, until it is revoked", async () => {
    const token = await keystone.catalog.token(demo);
    const validate = validator();
    expect(await validate(token)).toMatchObject({
      projectId: await keystone.catalog.project(demo.projectName),
      roles: expect.arrayContaining(["member", "reader"]) as unknown,
      isSystem: false,
    });
    await revoke(token);
    expect(await validate(token)).toBe("invalid");
  });

  test("that Keystone did not make is invalid", async () => {
    expect(await validator()("gAAAAABmade-up")).toBe("invalid");
    expect(await validator()(`${await keystone.catalog.token(demo)}x`)).toBe("invalid");
  });

  test("cannot be judged by an account without the right to", async () => {
    const member = osSettings(keystone.authUrl, demo);
    const token = await keystone.catalog.token();
    await expect(validator(session(member))(token)).rejects.toMatchObject({
      code: "OPENSTACK_UNAVAILABLE",
      message: `identity at ${keystone.authUrl}: Keystone does not let our account validate tokens (403)`,
    });
  });
});

describe("identities", () => {
  const identify = async (headers: Record<string, string>) =>
    await identifierFrom(environment, session())(headers);

  test("are those of Keystone's users, with Nova beside them", async () => {
    const mine = await keystone.catalog.token(demo);
    const nova = await keystone.catalog.token(serviceAccount("nova"));
    const expected = {
      project: await keystone.catalog.project(demo.projectName),
      roles: expect.not.arrayContaining(["admin", "service"]) as unknown,
      isAdmin: false,
    };
    const plain = await identify({ "x-auth-token": mine });
    expect(plain).toMatchObject({ ...expected, isService: false });
    expect(await identify({ "x-auth-token": mine, "x-service-token": nova })).toMatchObject({
      ...expected,
      isService: true,
    });
    const twice = await identify({ "x-auth-token": mine, "x-service-token": mine });
    expect(twice).toEqual(plain);
    expect(await identify({ "x-auth-token": nova })).toMatchObject({
      isAdmin: true,
      isService: false,
    });
  });

  test("without a project have no business here", async () => {
    const system = await scoped(keystone.admin, { system: { all: true } });
    expect(await identify({ "x-auth-token": system })).toBe("forbidden");
    expect(await identify({ "x-auth-token": await scoped(demo) })).toBe("forbidden");
  });
});

test("the authorizer lets Keystone's users in, and goes on for a while when Keystone is away", async () => {
  const judge = create(environment);
  const ask = async (token: string) =>
    await judge({ headers: { "x-auth-token": token } }, {} as never);
  const token = await keystone.catalog.token(demo);
  const other = await keystone.catalog.token();
  const allowed = {
    isAuthorized: true,
    context: {
      project: await keystone.catalog.project(demo.projectName),
      roles: expect.stringMatching(/^(?:member,reader|reader,member)$/) as unknown,
    },
  };
  expect(await ask(token)).toMatchObject(allowed);
  await expect(ask("nobody's")).rejects.toThrow(/^Unauthorized$/);
  await stop();
  expect(await ask(token)).toMatchObject(allowed);
  await expect(ask(other)).rejects.toMatchObject({
    code: "OPENSTACK_UNAVAILABLE",
    message: `identity at ${tokens()}: ECONNREFUSED`,
  });
});
