import { generateKeyPairSync } from "node:crypto";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { signPermit, verifyPermit } from "#protocol/permit";
import { readClaim } from "#store/claims";
import { readDeployable } from "#store/deployables";
import { recordEvents } from "#store/events";
import { claimKey } from "#store/keys";
import type { Identify } from "../../functions/parts/identity.ts";
import { idOf, start } from "../http/rows.ts";
import { doorOver } from "./accelerator-door.ts";
import { doorRows } from "./accelerator-rows.ts";
import { type Callers, type Credentials, startCallers } from "./callers.ts";
import { leaked, rowsOf } from "./judge.ts";
import { identifyBy, nativeDoor } from "./native-door.ts";
import { copyOf, ids, makeKeys, makeWorld, owner, stranger, type World } from "./world.ts";

/** By name of what they guard: the holes that others had, and the rules that trust rests on. */

let callers: Callers;
let identify: Identify;
let made: World;
let world: World;

beforeAll(async () => {
  callers = await startCallers();
  identify = identifyBy(callers);
  made = await makeWorld(makeKeys());
});
afterAll(async () => {
  await callers.close();
});
beforeEach(async () => {
  world = await copyOf(made);
});

async function atDoor(method: string, target: string, headers: Credentials, body?: unknown) {
  const { served } = doorOver(world, identify);
  const [rawPath = "", rawQueryString = ""] = target.split("?");
  const { statusCode, body: text } = await served(
    {
      version: "2.0",
      rawPath,
      rawQueryString,
      headers: { host: "h", "content-type": "application/json", ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      isBase64Encoded: false,
      requestContext: { http: { method, path: rawPath }, requestId: "r", domainName: "h" },
    },
    {} as never,
  );
  return { status: statusCode, text };
}

const bodyOf = (name: string) => doorRows[name]?.body;
const arqs = "/v2/accelerator_requests";

describe("CVE-2026-40213: a token alone is no leave to see or to program hardware", () => {
  const roles = ["none", "reader", "member", "manager", "service"] as const;
  const targets: readonly (readonly [string, string, string])[] = [
    ["GET", "/v2/devices", "GET devices"],
    ["GET", `/v2/devices/${ids.device}`, "GET devices/{uuid}"],
    ["GET", "/v2/deployables", "GET deployables"],
    ["GET", `/v2/deployables/${ids.card}`, "GET deployables/{uuid}"],
    ["GET", "/v2/attributes", "GET attributes"],
    ["PATCH", `/v2/deployables/${ids.idleCard}/program`, "PATCH deployables/{uuid}/program"],
    ["PATCH", `/v2/deployables/${ids.card}/program`, "PATCH deployables/{uuid}/program"],
    ["POST", `/v2/devices/${ids.device}/disable`, "POST devices/{uuid}/disable"],
  ];

  test.each(targets)("%s %s is an operator's", async (method, target, row) => {
    const before = rowsOf(world);
    for (const role of roles) {
      for (const project of [owner, stranger]) {
        const headers = await callers.good(project, role);
        const answer = await atDoor(method, target, headers, bodyOf(row));
        expect(answer.status, `${role} of ${project}`).toBe(403);
        expect(leaked(answer.text, target)).toEqual([]);
      }
    }
    expect(rowsOf(world)).toBe(before);
  });

  test("whoever holds no claim on a card does not program it, also not as an admin", async () => {
    const headers = await callers.good(stranger, "admin");
    const path = `/v2/deployables/${ids.card}/program`;
    const before = await readDeployable(world.store, ids.host, ids.card);
    const body = bodyOf("PATCH deployables/{uuid}/program");
    expect((await atDoor("PATCH", path, headers, body)).status).toBe(409);
    expect(await readDeployable(world.store, ids.host, ids.card)).toEqual(before);
  });
});

describe("CVE-2026-40214: a request belongs to a project, and a guest's is the service's to change", () => {
  const operations = (op: "add" | "remove", host = "node1") =>
    ["/hostname", "/device_rp_uuid", "/instance_uuid"].map((path) => ({
      path,
      op,
      ...(op === "add" ? { value: path === "/hostname" ? host : idOf(path) } : {}),
    }));

  test("another tenant cannot show, bind, unbind or delete it, not even as a service", async () => {
    const before = rowsOf(world);
    for (const role of ["reader", "member", "manager", "service"] as const) {
      const headers = await callers.good(stranger, role);
      for (const id of [ids.arq, ids.boundArq]) {
        const answers = [
          await atDoor("GET", `${arqs}/${id}`, headers),
          await atDoor("PATCH", arqs, headers, { [id]: operations("add") }),
          await atDoor("PATCH", `${arqs}/${id}`, headers, { [id]: operations("remove") }),
          await atDoor("DELETE", `${arqs}/${id}`, headers),
          await atDoor("DELETE", `${arqs}?arqs=${id}`, headers),
        ];
        for (const { status, text } of answers) {
          expect([403, 404]).toContain(status);
          expect(leaked(text, id)).toEqual([]);
        }
      }
    }
    expect(rowsOf(world)).toBe(before);
  });

  test("an instance's requests are not told or taken by whoever knows the instance", async () => {
    const before = rowsOf(world);
    const headers = await callers.good(stranger, "service");
    const seen = await atDoor("GET", `${arqs}?instance=${ids.server}`, headers);
    expect(JSON.parse(seen.text)).toEqual({ arqs: [] });
    expect((await atDoor("DELETE", `${arqs}?instance=${ids.server}`, headers)).status).toBe(204);
    expect(rowsOf(world)).toBe(before);
  });

  test.each(["member", "manager", "admin"] as const)(
    "its own project's %s does not take a card from under a guest without the service",
    async (role) => {
      const before = rowsOf(world);
      const headers = await callers.good(owner, role);
      const attempts = [
        await atDoor("PATCH", arqs, headers, { [ids.boundArq]: operations("remove") }),
        await atDoor("PATCH", arqs, headers, { [ids.arq]: operations("add") }),
        await atDoor("DELETE", `${arqs}/${ids.boundArq}`, headers),
        await atDoor("DELETE", `${arqs}?arqs=${ids.boundArq}`, headers),
        await atDoor("DELETE", `${arqs}?arqs=${ids.arq},${ids.boundArq}`, headers),
        await atDoor("DELETE", `${arqs}?instance=${ids.server}`, headers),
      ];
      expect(attempts.map(({ status }) => status)).toEqual(attempts.map(() => 403));
      expect(rowsOf(world)).toBe(before);
    },
  );

  test("a caller without a project makes, sees and changes nothing", async () => {
    const before = rowsOf(world);
    const token = await callers.issuer.sign({ project_id: undefined, roles: ["admin", "service"] });
    const headers = { authorization: `Bearer ${token}` };
    const attempts = [
      await atDoor("POST", arqs, headers, bodyOf("POST accelerator_requests")),
      await atDoor("GET", arqs, headers),
      await atDoor("PATCH", arqs, headers, bodyOf("PATCH accelerator_requests")),
      await atDoor("DELETE", `${arqs}/${ids.arq}`, headers),
    ];
    expect(attempts.map(({ status }) => status)).toEqual([403, 403, 403, 403]);
    expect(rowsOf(world)).toBe(before);
  });

  test("only an admin gives a request to another project", async () => {
    const patch = {
      [ids.arq]: [...operations("add"), { path: "/project_id", op: "add", value: stranger }],
    };
    const headers = {
      ...(await callers.good(owner, "service")),
      "openstack-api-version": "accelerator 2.1",
    };
    expect((await atDoor("PATCH", arqs, headers, patch)).status).toBe(403);
    expect(await readClaim(world.store, ids.arq)).toMatchObject({ project: owner });
  });

  test("a native claim is not the accelerator API's to take from under a guest of another", async () => {
    const headers = await callers.good(stranger, "service");
    expect((await atDoor("DELETE", `${arqs}/${ids.claim}`, headers)).status).toBe(404);
    expect(await readClaim(world.store, ids.claim)).toMatchObject({ state: "Bound" });
  });
});

describe("the token of a next page", () => {
  test.each([
    ["a deployable that everyone sees", { deployable: ids.card }],
    ["a claim of another", { claim: ids.claim }],
    ["an image of another", { image: ids.image }],
    ["a host", { host: ids.host }],
  ])("tells nothing of whose events of %s were passed over", async (_, about) => {
    const { store } = world;
    const after = await store.table.get(claimKey(ids.claim));
    for (let number = 0; number < 30; number += 1) {
      const change = { id: `e${number}`, at: start + number, before: undefined, after };
      await recordEvents(store, change);
    }
    const ask = nativeDoor(world, identify);
    const headers = await callers.good(stranger, "reader");
    const { text } = await ask("listEvents", { headers, query: { ...about, limit: "1" } });
    expect(JSON.parse(text)).toMatchObject({ items: [] });
    expect(leaked(text, JSON.stringify(about))).toEqual([]);
    const own = await callers.good(owner, "reader");
    const query = { claim: ids.claim, limit: "1" };
    const seen = await ask("listEvents", { headers: own, query });
    expect(JSON.parse(seen.text)).toMatchObject({ items: [{ claim: ids.claim }] });
  });
});

describe("a permit", () => {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  const permit = {
    claim: ids.claim,
    host: ids.host,
    deployable: ids.card,
    handle: "pf",
    fence: 2,
    project: owner,
    exp: start / 1000 + 600,
  };

  test("is read while its time lasts, and not a second longer", async () => {
    const text = await signPermit(permit, privateKey);
    expect(await verifyPermit(text, publicKey, start)).toMatchObject(permit);
    const over = verifyPermit(text, publicKey, start + 601_000);
    await expect(over).rejects.toMatchObject({ code: "PERMIT_INVALID" });
  });

  test("of another key, changed, or of another audience is none", async () => {
    const text = await signPermit(permit, privateKey);
    const [header = "", , signature = ""] = text.split(".");
    const changed = Buffer.from(JSON.stringify({ ...permit, handle: "vf0" })).toString("base64url");
    const none = Buffer.from('{"alg":"none"}').toString("base64url");
    const login = (await callers.good(owner, "admin"))["authorization"]?.slice(7) ?? "";
    const forged = [
      await signPermit(permit, generateKeyPairSync("ed25519").privateKey),
      `${header}.${changed}.${signature}`,
      `${none}.${changed}.`,
      login,
    ];
    for (const one of forged) {
      await expect(verifyPermit(one, publicKey, start)).rejects.toMatchObject({
        code: "PERMIT_INVALID",
      });
    }
  });

  test("is handed to those who may act on the claim, and to nobody else", async () => {
    const ask = nativeDoor(world, identify);
    const shown = async (project: string, role: "reader" | "member") => {
      const headers = await callers.good(project, role);
      const { status, text } = await ask("getClaim", { headers, path: { claim: ids.claim } });
      return [status, text.includes('"permit"')];
    };
    expect(await shown(owner, "member")).toEqual([200, true]);
    expect(await shown(owner, "reader")).toEqual([200, false]);
    expect(await shown(stranger, "member")).toEqual([404, false]);
  });
});

describe("a signing key", () => {
  test("that was revoked is not trusted again, and nothing that it signed goes on", async () => {
    const ask = nativeDoor(world, identify);
    const headers = await callers.good(owner, "admin");
    const key = world.manifest.keyId;
    expect(await ask("revokeKey", { headers, path: { key } })).toMatchObject({ status: 200 });
    const body = { name: "again", publicKey: world.keys.signer.pem };
    expect(await ask("createKey", { headers, body })).toMatchObject({ code: "KEY_REVOKED" });
  });

  test("is not a member's to add, whatever project it is of", async () => {
    const ask = nativeDoor(world, identify);
    const body = { name: "mine", publicKey: world.keys.other.pem };
    const before = rowsOf(world);
    for (const role of ["reader", "member", "manager"] as const) {
      const headers = await callers.good(owner, role);
      expect(await ask("createKey", { headers, body })).toMatchObject({ code: "FORBIDDEN" });
    }
    expect(rowsOf(world)).toBe(before);
  });
});
