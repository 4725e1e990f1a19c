import { createHash } from "node:crypto";
import { SignJWT } from "jose";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type OperationId, routes } from "#protocol/http/routes";
import { joinTokenRow } from "#store/hosts";
import type { Identify } from "../../functions/parts/identity.ts";
import { start } from "../http/rows.ts";
import {
  badTokens,
  type Callers,
  type Credentials,
  type RoleName,
  roles,
  startCallers,
} from "./callers.ts";
import { leaked, missing, rowsOf } from "./judge.ts";
import { type Answered, identifyBy, nativeDoor } from "./native-door.ts";
import { type Least, nativeRows, type Row } from "./native-rows.ts";
import {
  type AgentKey,
  agentKey,
  copyOf,
  ids,
  makeKeys,
  makeWorld,
  owner,
  stranger,
  type World,
} from "./world.ts";

/** The security matrix of the native API: route × role × own or other project × token. */

let callers: Callers;
let identify: Identify;
let made: World;

beforeAll(async () => {
  callers = await startCallers();
  identify = identifyBy(callers);
  made = await makeWorld(makeKeys());
});
afterAll(async () => {
  await callers.close();
});

const rowOf = (operation: string): Row => {
  const row = nativeRows[operation];
  if (row === undefined) throw new Error(`${operation} has no row in native-rows.ts`);
  return row;
};

/** One request of a row in a world of its own, with what it did to the table. */
async function asked(
  operation: OperationId,
  headers: Credentials,
): Promise<Answered & { readonly sent: string; readonly wrote: boolean }> {
  const world = await copyOf(made);
  const { path, query, body } = rowOf(operation);
  const request = {
    ...(path === undefined ? {} : { path: typeof path === "function" ? path(world) : path }),
    ...(query === undefined ? {} : { query }),
    ...(body === undefined ? {} : { body: body(world) }),
  };
  const before = rowsOf(world);
  const answer = await nativeDoor(world, identify)(operation, { ...request, headers });
  return { ...answer, sent: JSON.stringify(request), wrote: rowsOf(world) !== before };
}

const rank: Readonly<Record<RoleName, number>> = {
  none: 0,
  service: 0,
  reader: 1,
  member: 2,
  manager: 2,
  admin: 3,
};
const needed: Readonly<Record<Least, number>> = {
  open: 0,
  agent: 0,
  reader: 1,
  member: 2,
  admin: 3,
};

/** What the answer must be. */
function wantedOf(
  row: Row,
  role: RoleName,
  project: string,
): { readonly status: number; readonly code?: string } {
  if (row.least !== "open") {
    // Without a role that the native API knows, the authorizer itself refuses.
    if (rank[role] === 0) return { status: 403 };
    if (rank[role] < needed[row.least]) return { status: 403, code: "FORBIDDEN" };
  }
  if (project === owner) return { status: row.status };
  if (role === "admin" && row.foreignAdmin === undefined) return { status: row.status };
  const foreign = role === "admin" ? (row.foreignAdmin ?? "same") : row.foreign;
  return foreign === "same" ? { status: row.status } : { status: foreign[0], code: foreign[1] };
}

test("every route of the table has a row", () => {
  expect(missing(Object.keys(routes), nativeRows)).toEqual([]);
  expect(missing(Object.keys(nativeRows), routes)).toEqual([]);
});

test("a route that nobody wrote a row for is named", () => {
  const planted = { ...routes, openTheGate: routes.getClaim };
  expect(missing(Object.keys(planted), nativeRows)).toEqual(["openTheGate"]);
});

test("a leak is seen, also in a page token, and what was asked for by name is none", () => {
  const packed = Buffer.from(JSON.stringify([0, `CLAIM#${ids.claim}`])).toString("base64url");
  const twice = Buffer.from(JSON.stringify([1, packed])).toString("base64url");
  for (const text of [`{"id":"${ids.claim}"}`, `{"next":"${packed}"}`, `{"next":"${twice}"}`]) {
    expect(leaked(text, "")).toEqual([ids.claim]);
    expect(leaked(text, `/v1/claims/${ids.claim}`)).toEqual([]);
  }
});

const operations = Object.keys(routes) as OperationId[];
const ofPeople = operations.filter((operation) => nativeRows[operation]?.least !== "agent");
const guarded = ofPeople.filter((operation) => nativeRows[operation]?.least !== "open");

describe.each(ofPeople)("%s", (operation) => {
  const cases = roles.flatMap((role) =>
    [owner, stranger].map((project) => [role, project] as const),
  );

  test.each(cases)("asked by %s of project %s", async (role, project) => {
    const answer = await asked(operation, await callers.good(project, role));
    expect(answer).toMatchObject(wantedOf(rowOf(operation), role, project));
    if (answer.status >= 400 || routes[operation].method === "GET") {
      expect(answer.wrote, "nothing is written").toBe(false);
    }
    const mayKnow = project === owner || role === "admin";
    if (!mayKnow) expect(leaked(answer.text, answer.sent)).toEqual([]);
    if (answer.status === 403) expect(leaked(answer.text, answer.sent)).toEqual([]);
  });
});

describe.each(guarded)("%s", (operation) => {
  test.each(badTokens)("with a token that is %s", async (kind) => {
    const answer = await asked(operation, await callers.bad(owner, kind));
    expect(answer).toMatchObject({ status: 401, text: "", wrote: false });
  });
});

/** A token as an agent signs it, but for what is said otherwise. */
async function agentToken({ key }: AgentKey, claims: object = {}, alg = "EdDSA"): Promise<string> {
  const seconds = start / 1000;
  const usual = { iss: ids.host, aud: "gatehouse", iat: seconds, exp: seconds + 60 };
  const own = { machine: "a machine", boot: ids.host };
  const all = JSON.parse(JSON.stringify({ ...usual, ...own, ...claims })) as Record<
    string,
    unknown
  >;
  return `Bearer ${await new SignJWT(all).setProtectedHeader({ alg }).sign(key)}`;
}

/** One request of an agent in a world of its own. */
async function fromAgent(operation: OperationId, body: unknown, authorization?: string) {
  const world = await copyOf(made);
  const digest = createHash("sha256").update(joinToken).digest("hex");
  await world.store.table.write([joinTokenRow(digest, ids.host, start)]);
  const before = rowsOf(world);
  const headers = authorization === undefined ? {} : { authorization };
  const answer = await nativeDoor(world, identify)(operation, { body, headers });
  return { ...answer, wrote: rowsOf(world) !== before };
}

const joinToken = "j".repeat(43);

test("only join and exchange are for agents", () => {
  expect(operations.filter((operation) => nativeRows[operation]?.least === "agent")).toEqual([
    "join",
    "exchange",
  ]);
});

describe("exchange", () => {
  const hello = {
    type: "hello",
    host: ids.host,
    agentVersion: "1",
    protocol: 1,
    bootId: ids.host,
    capabilities: [],
    inventoryHash: "none",
  };
  const body = { frames: [JSON.stringify(hello)] };
  const unsigned = `Bearer ${Buffer.from('{"alg":"none"}').toString("base64url")}`;

  test("opens a session for a host's own token", async () => {
    const answer = await fromAgent("exchange", body, await agentToken(made.keys.agent));
    expect(answer).toMatchObject({ status: 200, wrote: true });
    expect(answer.text).toContain("welcome");
  });

  test.each<readonly [string, () => Promise<string | undefined>]>([
    ["missing", async () => await Promise.resolve(undefined)],
    ["malformed", async () => await Promise.resolve("Bearer a.b")],
    ["expired", async () => await agentToken(made.keys.agent, { exp: start / 1000 - 6 })],
    ["too old", async () => await agentToken(made.keys.agent, { iat: start / 1000 - 66 })],
    ["of no time", async () => await agentToken(made.keys.agent, { iat: undefined })],
    ["for another audience", async () => await agentToken(made.keys.agent, { aud: "other" })],
    ["of a wrong signature", async () => await agentToken(agentKey())],
    ["signed by another host", async () => await agentToken(made.keys.other)],
    ["of no host", async () => await agentToken(made.keys.agent, { iss: owner })],
    ["of a host that never joined", async () => await agentToken(made.keys.agent, { iss: "x" })],
    ["without a machine", async () => await agentToken(made.keys.agent, { machine: undefined })],
    [
      "unsigned",
      async () =>
        (await agentToken(made.keys.agent))
          .replace(/^Bearer [^.]+/, unsigned)
          .replace(/[^.]+$/, ""),
    ],
    ["an admin's own", async () => (await callers.good(owner, "admin"))["authorization"]],
  ])("with a token that is %s", async (_, token) => {
    const answer = await fromAgent("exchange", body, await token());
    expect(answer).toMatchObject({ status: 401, code: "UNAUTHENTICATED", wrote: false });
    expect(leaked(answer.text, JSON.stringify(body))).toEqual([]);
  });

  test("as another host is refused although the token is good", async () => {
    const other = await agentToken(made.keys.other, { iss: ids.idleHost });
    const answer = await fromAgent("exchange", body, other);
    expect(answer).toMatchObject({ status: 200, wrote: false });
    expect(answer.text).toContain("FORBIDDEN");
  });
});

describe("join", () => {
  const asked = (changes: object = {}) => ({
    token: joinToken,
    publicKey: made.keys.agent.pem,
    machine: "a".repeat(64),
    nodeName: "node1",
    ...changes,
  });

  test("takes a host's own token", async () => {
    expect(await fromAgent("join", asked())).toMatchObject({ status: 201, wrote: true });
  });

  test.each([
    ["another token", { token: "k".repeat(43) }, 401, "JOIN_TOKEN_INVALID"],
    ["another host's name", { nodeName: "node2" }, 400, "INVALID_REQUEST"],
    ["no key", { publicKey: "a key" }, 400, "INVALID_REQUEST"],
    ["no token", { token: undefined }, 400, "INVALID_REQUEST"],
    ["a list of tokens", { token: [joinToken] }, 400, "INVALID_REQUEST"],
  ])("with %s", async (_, changes, status, code) => {
    const answer = await fromAgent("join", asked(changes));
    expect(answer).toMatchObject({ status, code, wrote: false });
    expect(leaked(answer.text, "")).toEqual([]);
  });

  test("an admin's token opens nothing here", async () => {
    const { authorization } = await callers.good(owner, "admin");
    const answer = await fromAgent("join", asked({ token: "k".repeat(43) }), authorization);
    expect(answer).toMatchObject({ status: 401, wrote: false });
  });
});
