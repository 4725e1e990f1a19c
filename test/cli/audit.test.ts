import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { EventView } from "#protocol/http/settings";
import { receiptDigest } from "#protocol/wire/receipt";
import { drop, editFacts, history, told } from "../domain/history/lent-card.ts";
import { type FakeService, startFakeService } from "./fake-service.ts";
import { deployable, ids } from "./samples.ts";
import { createShell } from "./shell.ts";

let service: FakeService;
beforeAll(async () => {
  service = await startFakeService();
});
beforeEach(() => service.reset());
afterAll(() => service.close());

/** A history as the service answers it, newest first. */
function views(
  change: (events: ReturnType<typeof history>) => void = () => undefined,
): EventView[] {
  const events = history();
  change(events);
  return events
    .map(({ at, ...event }) => ({ ...event, at: new Date(at).toISOString() }))
    .toReversed();
}

const twoHolders = drop(told("claim.released"));
const shell = (files: Record<string, string> = {}) =>
  createShell({ env: { GATEHOUSE_URL: service.url }, files });
const empty = { json: { items: [] } };

/** Serves these events as the history of the one deployable there is, two a page. */
function serve(events: readonly EventView[]): void {
  service.on("listReceipts", () => empty);
  service.on("listEvents", ({ query }) => {
    if (query["deployable"] === undefined) return empty;
    const from = Number(query["after"] ?? 0);
    const next = from + 2 < events.length ? { next: String(from + 2) } : {};
    return { json: { items: events.slice(from, from + 2), ...next } };
  });
}

describe("audit of a service", () => {
  test("reads every page of every deployable and ends with 0 when all was kept", async () => {
    serve(views());
    const { code, out } = await shell().run("audit", "--json");
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({
      kept: true,
      judged: views().length,
      unjudged: 0,
      gaps: 0,
      claims: 2,
      deployables: 1,
      violations: [],
      open: [],
    });
    expect(service.violations).toEqual([]);
  });

  test("prints a violation with its events and ends with 5", async () => {
    serve(views(twoHolders));
    const { code, out, err } = await shell().run("audit");
    expect(code).toBe(5);
    expect(out).toMatch(/^VIOLATED I1 \(one claim per handle\): .*\/pf: claim c2 was granted it/);
    expect(out).toMatch(/\n {2}\S+Z {2}claim\.granted {2}granted .* fence 1/);
    expect(out).toMatch(/\n {2}\S+Z {2}claim\.granted {2}granted .* fence 3/);
    expect(out).toMatch(/kept +no/);
    expect(err).toContain("error WRONG_STATE: the history shows ");
  });

  test("names what was violated, and nothing else, with --quiet", async () => {
    serve(views(twoHolders));
    const { out } = await shell().run("audit", "--quiet");
    const [deployableOf] = views().flatMap((event) => event.deployable ?? []);
    expect(new Set(out.trim().split("\n"))).toContain(`${deployableOf}/pf`);
  });

  test("of one deployable asks for it alone", async () => {
    serve(views());
    const since = "2026-01-01T00:00:00Z";
    await shell().run("audit", "--deployable", ids.deployable, "--since", since);
    const asked = service.received.map(({ operation, query }) => [operation, query["since"]]);
    expect(new Set(asked.map(([operation]) => operation))).toEqual(
      new Set(["listEvents", "listReceipts"]),
    );
    expect(asked.filter(([name]) => name === "listEvents").every(([, at]) => at === since)).toBe(
      true,
    );
  });

  test("of one host asks for its deployables", async () => {
    serve(views());
    await shell().run("audit", "--host", "node1");
    const listed = service.received.find(({ operation }) => operation === "listDeployables");
    expect(listed?.query["host"]).toBe(ids.host);
  });

  test("checks receipts by digests it makes itself", async () => {
    const body = (number: number, previous: string) => ({
      deployable: deployable.id,
      number,
      previous,
      kind: "scrub" as const,
      imageGeneration: number,
      functionId: null,
      fences: { pf: 1 },
      bootId: "b0000000-0000-4000-8000-000000000001",
      at: number,
    });
    const first = body(1, "0".repeat(64));
    const view = (one: ReturnType<typeof body>) => ({
      ...one,
      at: new Date(one.at).toISOString(),
      signature: "s",
      digest: "claimed by the service",
    });
    serve([]);
    const answer = (previous: string) => () => ({
      json: { items: [view(body(2, previous)), view(first)] },
    });
    service.on("listReceipts", answer(receiptDigest(first)));
    const whole = await shell().run("audit", "--json");
    expect(whole.code).toBe(0);
    expect(JSON.parse(whole.out)).toMatchObject({ receipts: 2, judged: 0 });
    expect(whole.err).toContain("no event could be judged");
    service.on("listReceipts", answer("claimed by the service"));
    const { code, out } = await shell().run("audit");
    expect(code).toBe(5);
    expect(out).toContain("receipt 2 does not name the digest of 1");
  });

  test("leaves facts of a newer service unjudged", async () => {
    const newer = views(editFacts(told("deployable.found"), { about: "weather" }));
    serve(newer);
    const { out } = await shell().run("audit", "--json");
    expect(JSON.parse(out)).toMatchObject({ kept: true, unjudged: 1 });
  });
});

describe("audit of a file", () => {
  const lines = (events: readonly EventView[]) =>
    events.map((event) => JSON.stringify(event)).join("\n");

  test.each([
    ["lines", (events: readonly EventView[]) => lines(events)],
    ["a page", (events: readonly EventView[]) => JSON.stringify({ items: events })],
    [
      "a page for people",
      (events: readonly EventView[]) => JSON.stringify({ items: events }, null, 2),
    ],
    [
      "pages line by line",
      (events: readonly EventView[]) =>
        [events.slice(0, 3), events.slice(3)]
          .map((items) => JSON.stringify({ items, next: "x" }))
          .join("\n\n"),
    ],
  ])("understands %s", async (_what, print) => {
    const used = shell({ "kept.json": print(views()), "broken.json": print(views(twoHolders)) });
    const kept = await used.run("audit", "--file", "kept.json", "--json");
    expect(kept.code).toBe(0);
    expect(JSON.parse(kept.out)).toMatchObject({ kept: true, judged: views().length });
    expect((await used.run("audit", "--file", "broken.json")).code).toBe(5);
    expect(service.received).toEqual([]);
  });

  test("takes only what is later than --since", async () => {
    const used = shell({ log: lines(views()) });
    const { out } = await used.run(
      "audit",
      "--file",
      "log",
      "--json",
      "--since",
      "1970-01-01T00:04:00Z",
    );
    const later = views().filter(({ at }) => Date.parse(at) >= 4 * 60_000);
    expect(later.length).toBeLessThan(views().length);
    expect(JSON.parse(out)).toMatchObject({ judged: later.length });
  });

  test.each([
    [["--file", "absent"], "absent: no such file"],
    [["--file", "log", "--host", "node1"], "--file is the whole history"],
    [["--file", "log", "--since", "yesterday"], "--since is wrong"],
    [["--file", "prose"], "prose is not JSON"],
    [["--file", "other"], "other holds something else than events"],
  ])("refuses %s", async (flags, text) => {
    const used = shell({ log: lines(views()), prose: "hello", other: '{"id":1}\n' });
    const { code, err } = await used.run("audit", ...flags);
    expect(code).toBe(2);
    expect(err).toContain(text);
  });

  test("prints nothing of a file that could move a terminal's cursor", async () => {
    const [event] = views(twoHolders).filter(({ kind }) => kind === "claim.granted");
    const evil = views(twoHolders).map((one) =>
      one.id === event?.id ? { ...one, text: "a\u001b[2Jb" } : one,
    );
    const { out } = await shell({ log: lines(evil) }).run("audit", "--file", "log");
    expect(out).toContain("VIOLATED");
    expect(out).not.toContain("\u001b");
  });
});
