import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import type { Endpoint } from "../../functions/accelerator/endpoint.ts";
import type { Accelerator } from "../../functions/accelerator/parts.ts";
import type { PolicySet } from "../../functions/accelerator/policy.ts";
import type * as Router from "../../functions/accelerator/router.ts";
import type { Identify } from "../../functions/parts/identity.ts";
import { openDoor } from "../accelerator/support.ts";
import { doorOver } from "./accelerator-door.ts";
import { type DoorRow, doorRows } from "./accelerator-rows.ts";
import {
  badTokens,
  type Callers,
  type Credentials,
  type RoleName,
  roles,
  startCallers,
} from "./callers.ts";
import { leaked, missing, rowsOf } from "./judge.ts";
import { identifyBy } from "./native-door.ts";
import { copyOf, makeKeys, makeWorld, owner, stranger, type World } from "./world.ts";

/** The security matrix of the accelerator API: endpoint × role × own or other project × token. */

const built = vi.hoisted(() => ({ endpoints: [] as readonly Endpoint[] }));

// The table is put together inside the API's function: this is the very one that it serves.
vi.mock("../../functions/accelerator/router.ts", async (original) => {
  const router = await original<typeof Router>();
  return {
    ...router,
    routedFunction: (parts: Accelerator, endpoints: readonly Endpoint[]) => {
      built.endpoints = endpoints;
      return router.routedFunction(parts, endpoints);
    },
  };
});

const namesOf = (endpoints: readonly Endpoint[]) =>
  endpoints.flatMap(({ path, methods }) => Object.keys(methods).map((one) => `${one} ${path}`));

const names = Object.keys(doorRows);

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

test("every method of every path has a row", () => {
  openDoor();
  expect(built.endpoints.length).toBeGreaterThan(0);
  expect(missing(namesOf(built.endpoints), doorRows)).toEqual([]);
  expect(
    missing(names, Object.fromEntries(namesOf(built.endpoints).map((one) => [one, 1]))),
  ).toEqual([]);
});

test("a method that nobody wrote a row for is named", () => {
  openDoor();
  const planted = { path: "gates/{uuid}", methods: { POST: built.endpoints[0]?.methods.GET } };
  const all = namesOf([...built.endpoints, planted as Endpoint]);
  expect(missing(all, doorRows)).toEqual(["POST gates/{uuid}"]);
});

const rowOf = (name: string): DoorRow => {
  const row = doorRows[name];
  if (row === undefined) throw new Error(`${name} has no row in accelerator-rows.ts`);
  return row;
};

async function asked(name: string, credentials: Credentials, policy: PolicySet = "legacy") {
  const world = await copyOf(made);
  const { target, body } = rowOf(name);
  const [method = ""] = name.split(" ");
  const [rawPath = "", rawQueryString = ""] = target.split("?");
  const { served, defects } = doorOver(world, identify, policy);
  const before = rowsOf(world);
  const json = { "content-type": "application/json", prefer: "respond-async" };
  const event = {
    version: "2.0",
    rawPath,
    rawQueryString,
    headers: { host: "gateway", ...(body === undefined ? {} : json), ...credentials },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    isBase64Encoded: false,
    requestContext: {
      http: { method, path: rawPath },
      requestId: randomUUID(),
      domainName: "gateway",
    },
  };
  const { statusCode: status, body: text } = await served(event, {} as never);
  const sent = `${target}${JSON.stringify(body)}`;
  expect(defects).toEqual([]);
  return { status, text, sent, wrote: rowsOf(world) !== before };
}

function wantedStatus(row: DoorRow, who: { role: RoleName; project: string }, policy: PolicySet) {
  if (!row.may[policy].includes(who.role)) return 403;
  if (row.service === true && who.role !== "service") return 403;
  const isForeign = who.project !== owner && who.role !== "admin";
  return isForeign && row.foreign !== "same" ? row.foreign : row.status;
}

describe.each(["legacy", "personas"] as const)("with the %s rules", (policy) => {
  describe.each(names)("%s", (name) => {
    const cases = roles.flatMap((role) =>
      [owner, stranger].map((project) => [role, project] as const),
    );

    test.each(cases)("asked by %s of project %s", async (role, project) => {
      const answer = await asked(name, await callers.good(project, role), policy);
      expect(answer.status).toBe(wantedStatus(rowOf(name), { role, project }, policy));
      if (answer.status >= 400 || name.startsWith("GET ")) expect(answer.wrote).toBe(false);
      const mayKnow = project === owner || role === "admin";
      const tells = answer.status < 400 ? (rowOf(name).tells ?? []) : [];
      const told = leaked(answer.text, answer.sent).filter((one) => !tells.includes(one));
      if (!mayKnow || answer.status === 403) expect(told).toEqual([]);
    });
  });
});

describe.each(names)("%s", (name) => {
  test.each(badTokens)("with a token that is %s", async (kind) => {
    const answer = await asked(name, await callers.bad(owner, kind));
    expect(answer).toMatchObject({ status: 401, wrote: false });
    expect(leaked(answer.text, answer.sent)).toEqual([]);
  });
});

test("what deletes nothing of its own changes nothing of another tenant's", async () => {
  const target = await asked(
    "DELETE accelerator_requests",
    await callers.good(stranger, "service"),
  );
  expect(target).toMatchObject({ status: 204, wrote: false });
});
