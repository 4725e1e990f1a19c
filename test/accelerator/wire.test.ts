import { beforeAll, describe, expect, test } from "vitest";
import type { Deployable } from "#domain/deployable";
import type { Host } from "#domain/host";
import { addDeployable, addHost } from "../http/rows.ts";
import { type Recorded, recordings } from "./recording.ts";
import {
  type Answered,
  type Asking,
  addDevice,
  agentReports,
  type Door,
  openDoor,
  providerOf,
} from "./support.ts";

/** Recorded from Cyborg 24e13c6, see the file's first line. */
const pairs = recordings("test/fixtures/cyborg-wire.txt");
const project = "8934fbea7b3f4685bd8ee7cf166a4c09";
const recordedProvider = "99efe5b3-5d2b-3cbd-bf9b-6cdfa6028320";

/** What is answered otherwise than by Cyborg, and why; by the number of the recorded pair. */
const differences: Readonly<
  Record<number, { readonly because: string; readonly status?: number }>
> = {
  14: { status: 400, because: "a missing list is the caller's mistake (cyborg.md §10.1)" },
  33: { status: 400, because: "a wrong argument is the caller's mistake (cyborg.md §10.1)" },
};

/** Members whose values differ, and why: names, order and kinds are compared all the same. */
const ownMembers: Readonly<Record<string, string>> = {
  created_at: "another clock, and one form of time wherever Cyborg has three",
  updated_at: "null where Cyborg writes the text None; a device's own time",
  attach_handle_type: "its fake driver says TEST_PCI, which Nova ignores",
  attach_handle_info: "another card, another address",
  type: "another card",
  vendor: "another card",
  model: "another card",
  std_board_info: "another card",
  vendor_board_info: "another card",
  num_accelerators: "another card",
  device_id: "an integer made of the uuid: there are no row numbers",
  deployable_id: "an integer made of the uuid: there are no row numbers",
  attributes_list: "another card",
  key: "of an attribute: another card",
  value: "of an attribute: another card",
  driver_name: "another card",
  attributes: "as many as the card has traits",
};

const uuidForm = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/g;

let door: Door;
let host: Host;
let card: Deployable;
/** Cyborg's ids and ours for the same thing. */
const known = new Map<string, string>();
const answers = new Map<number, Answered<unknown>>();

function translated(text: string): string {
  return [...known].reduce((all, [theirs, own]) => all.replaceAll(theirs, own), text);
}

/** Remembers which of our ids stands where Cyborg's stood. */
function learn(theirs: unknown, own: unknown): void {
  if (typeof theirs === "string" && typeof own === "string") learnIds(theirs, own);
  if (!isRecord(theirs) || !isRecord(own)) return;
  if ("deployable_id" in theirs) {
    known.set('"deployable_id":"1"', `"deployable_id":"${String(own["deployable_id"])}"`);
  }
  for (const [name, value] of Object.entries(theirs)) learn(value, own[name]);
}

function learnIds(theirs: string, own: string): void {
  const mine = own.match(uuidForm) ?? [];
  for (const [index, id] of (theirs.match(uuidForm) ?? []).entries()) {
    const same = mine[index] ?? id;
    if (same !== id && !known.has(id)) known.set(id, same);
  }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}

function askingOf({ number, roles, headers, body }: Recorded): Asking {
  const isService = headers["x-service-roles"] === "service";
  const version = headers["openstack-api-version"];
  return {
    roles: isService ? `${roles},service` : roles,
    // The file does not say who asked: the same request was answered before.
    project: number === 23 ? "another" : project,
    ...(version === undefined ? {} : { version }),
    ...(body === undefined ? {} : { text: translated(body) }),
  };
}

beforeAll(async () => {
  door = openDoor({ shape: "cyborg" });
  host = await addHost(door.store, "cmp1");
  card = await addDeployable(door.store, host, "port0", {
    traits: ["CUSTOM_FAKE_DEVICE"],
    resourceClass: "FPGA",
  });
  await addDevice(door.store, host, [card]);
  known.set(recordedProvider, await providerOf(door, host, card));
  known.set("cmp1_FakeDevice", "cmp1_0000:3b:00.0");
  for (const pair of pairs) {
    const answer = await door.ask<unknown>(pair.method, translated(pair.path), askingOf(pair));
    answers.set(pair.number, answer);
    learn(pair.answer === "" ? undefined : JSON.parse(pair.answer), answer.body);
    if (answer.status === 202) await agentReports(door.store, card, { clean: false });
    door.store.pass(1000);
  }
});

/** Values that are ours alone stand as their kind, and ids as one word. */
function comparable(value: unknown, name = ""): unknown {
  if (Array.isArray(value)) {
    const entries = name === "attributes" ? value.slice(0, 1) : value;
    return entries.map((one: unknown) => comparable(one));
  }
  if (name === "attach_handle_info" && isRecord(value)) return Object.keys(value);
  if (isRecord(value)) {
    return Object.entries(value).map(([key, one]) => [key, comparable(one, key)]);
  }
  if (name === "updated_at") return "some time or none";
  if (name in ownMembers) return typeof value;
  return typeof value === "string" ? value.replaceAll(uuidForm, "<uuid>") : value;
}

function faultOf(text: string): unknown {
  const { error_message: message } = JSON.parse(text) as { readonly error_message: string };
  return message.startsWith("{") ? JSON.parse(message) : message;
}

function namesOf(headers: Readonly<Record<string, string>>): readonly string[] {
  return (
    Object.keys(headers)
      // Tells operators whose document this is; clients do not look at it.
      .filter((name) => name !== "x-gatehouse-version")
      .filter((name) => name !== "content-length")
      .toSorted()
  );
}

describe.each(pairs)("$number: $line", (pair) => {
  const { number, answer: recorded, answerHeaders } = pair;
  const difference = differences[number];

  function answered(): Answered<unknown> {
    const answer = answers.get(number);
    if (answer === undefined) throw new Error("it was asked");
    return answer;
  }

  test("is answered with Cyborg's status and headers", () => {
    const { status, headers } = answered();
    expect(status).toBe(difference?.status ?? pair.status);
    expect(namesOf(headers)).toEqual(namesOf(answerHeaders));
    for (const [name, value] of Object.entries(answerHeaders)) {
      if (name === "content-length") continue;
      expect(headers[name]?.replaceAll(uuidForm, "<uuid>")).toBe(
        value.replaceAll(uuidForm, "<uuid>"),
      );
    }
  });

  test("is answered with Cyborg's body", () => {
    const { status, text, body } = answered();
    if (recorded === "") return expect(text).toBe("");
    if (status < 400)
      return expect(comparable(body)).toEqual(comparable(JSON.parse(translated(recorded))));
    const wanted = faultOf(recorded);
    const expected = isRecord(wanted) && status < 500 ? { ...wanted, faultcode: "Client" } : wanted;
    expect(comparable(faultOf(translated(text)))).toEqual(comparable(expected));
  });
});

test("all recorded pairs are replayed, and every difference is of one of them", () => {
  expect(pairs).toHaveLength(49);
  expect(answers.size).toBe(49);
  for (const [number, { because, status }] of Object.entries(differences)) {
    expect(because.length).toBeGreaterThan(20);
    expect(pairs[Number(number) - 1]?.status).not.toBe(status);
  }
});

test("nothing that was asked was a defect", () => {
  expect(door.logged).toEqual([]);
});
