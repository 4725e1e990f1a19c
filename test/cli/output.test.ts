import * as fc from "fast-check";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { renderTable } from "../../cli/table.ts";
import { type FakeService, problem, startFakeService } from "./fake-service.ts";
import { claim, deployable, event, ids, operation } from "./samples.ts";
import { createShell, type ShellOptions } from "./shell.ts";

let service: FakeService;
beforeAll(async () => {
  service = await startFakeService();
});
beforeEach(() => service.reset());
afterAll(() => service.close());

const shell = (options: ShellOptions = {}) =>
  createShell({ ...options, env: { GATEHOUSE_URL: service.url } });

const numbered = (number: number) => ({
  ...claim,
  id: `50000000-0000-4000-8000-${String(number).padStart(12, "0")}`,
});

describe("a list", () => {
  const pages = () =>
    service.on("listClaims", ({ query }) => {
      const page = Number(query["after"] ?? "0");
      const next = page < 2 ? { next: String(page + 1) } : {};
      return { json: { items: [numbered(2 * page), numbered(2 * page + 1)], ...next } };
    });

  test("is one page and says how to go on", async () => {
    pages();
    const { out, err } = await shell().run("claims", "list", "--limit", "2");
    expect(out.trimEnd().split("\n")).toHaveLength(3);
    expect(err).toBe("more with --after 1 or --all\n");
    expect(service.received[0]?.query).toEqual({ limit: "2" });
  });

  test("goes on after a page", async () => {
    pages();
    const { out, err } = await shell().run("claims", "list", "--after", "2", "--quiet");
    expect(out).toBe(`${numbered(4).id}\n${numbered(5).id}\n`);
    expect(err).toBe("");
  });

  test("is complete with --all, in every form", async () => {
    pages();
    const all = [0, 1, 2, 3, 4, 5].map((number) => numbered(number).id);
    const quiet = await shell().run("claims", "list", "--all", "--quiet");
    expect(quiet.out.trim().split("\n")).toEqual(all);
    const json = await shell().run("claims", "list", "--all", "--json");
    const answer = JSON.parse(json.out) as { items: { id: string }[]; next?: string };
    expect(answer.items.map(({ id }) => id)).toEqual(all);
    expect(answer).not.toHaveProperty("next");
    expect(json.err).toBe("");
  });

  test("prints exactly the API's page with --json, members unknown here included", async () => {
    const page = { items: [{ ...claim, novelty: [1] }], next: "n" };
    service.on("listClaims", () => ({ json: page }));
    expect(JSON.parse((await shell().run("claims", "list", "--json")).out)).toEqual(page);
  });

  test("says so when it is empty", async () => {
    service.on("listClaims", () => ({ json: { items: [] } }));
    expect((await shell().run("claims", "list")).out).toBe("no claims\n");
    expect((await shell().run("claims", "list", "--quiet")).out).toBe("");
  });

  test("ends when the service's pages run in a circle", async () => {
    service.on("listClaims", () => ({ json: { items: [], next: "same" } }));
    const { code, err } = await shell().run("claims", "list", "--all");
    expect(code).toBe(1);
    expect(err).toContain("run in a circle");
  });

  test("of hosts finds a host by its name, or tells that there is none", async () => {
    service.on("listHosts", () => ({ json: { items: [] } }));
    const { code, err } = await shell().run("hosts", "show", "node9");
    expect(code).toBe(4);
    expect(err).toContain("error UNKNOWN_HOST: No host is called node9");
    expect(service.received).toHaveLength(1);
  });
});

describe("a table", () => {
  const columns = [
    { title: "ID", of: (row: string[]) => row[0] },
    { title: "TEXT", of: (row: string[]) => row[1], flex: true as const },
    { title: "MORE", of: (row: string[]) => row[2], extra: true as const },
  ];

  test("is aligned, numbers to the right", () => {
    const numbers = [
      { title: "N", of: (row: string[]) => Number(row[0]) },
      columns[1] ?? { title: "", of: () => "" },
    ];
    expect(
      renderTable(numbers, [
        ["5", "a"],
        ["10", "b"],
      ]),
    ).toBe(" N  TEXT\n 5  a\n10  b");
  });

  test("cuts flexible texts and drops extra columns to fit, never ids", () => {
    const rows = [["0123456789", "a rather long text that does not fit", "extra"]];
    expect(renderTable(columns, rows, 40)).toBe(
      "ID          TEXT                   MORE\n0123456789  a rather long text t…  extra",
    );
    expect(renderTable(columns, rows, 26)).toBe("ID          TEXT\n0123456789  a rather long…");
    expect(renderTable(columns, rows, 5)).toBe("ID          TEXT\n0123456789  a rather lo…");
  });

  test("fits every terminal that has room for its ids", () => {
    const row = fc
      .tuple(fc.string({ maxLength: 10 }), fc.string(), fc.string())
      .map((one) => [...one]);
    fc.assert(
      fc.property(fc.array(row), fc.integer({ min: 24, max: 200 }), (rows, width) => {
        const lines = renderTable(columns, rows, width).split("\n");
        expect(lines).toHaveLength(rows.length + 1);
        for (const line of lines) expect(Array.from(line).length).toBeLessThanOrEqual(width);
      }),
    );
  });

  test("fits the terminal the command runs on", async () => {
    const { out } = await shell({ columns: 100 }).run("claims", "list");
    for (const line of out.split("\n")) expect(line.length).toBeLessThanOrEqual(100);
    expect(out).toContain(ids.claim);
    expect(out).not.toContain("INSTANCE");
    expect((await shell().run("claims", "list")).out).toContain("INSTANCE");
  });
});

describe("one object", () => {
  test("is printed by name with its handles as a table", async () => {
    const { out } = await shell().run("deployables", "show", ids.deployable);
    expect(out).toMatch(/^health\.state +healthy$/m);
    expect(out).toMatch(/^programmable +yes$/m);
    expect(out).toMatch(/^notOffered +-$/m);
    expect(out).toMatch(/handles:\nNAME +TYPE +PCIADDRESS .*\npf +PF +0000:3b:00\.0/);
  });

  test("does not show a permit to people, but to programs", async () => {
    const shown = await shell().run("claims", "show", ids.claim);
    expect(shown.out).toMatch(/^permit +present \(see --json\)$/m);
    const json = await shell().run("claims", "show", ids.claim, "--json");
    expect(JSON.parse(json.out)).toEqual(claim);
  });

  test("prints a join token alone with --quiet", async () => {
    expect((await shell().run("hosts", "add", "node1", "--quiet")).out).toBe("secret-token\n");
  });
});

test("explain shows the verdicts and, with --quiet, what fits", async () => {
  const { out } = await shell().run("explain", "--type", "crypto");
  expect(out).toMatch(/^2 looked at: .*\nVERDICT/);
  expect(out).toMatch(/^fits +40000000.* the wanted image is loaded$/m);
  const quiet = await shell().run("explain", "--type", "crypto", "--quiet");
  expect(quiet.out).toBe(`${ids.deployable}\n`);
});

describe("status", () => {
  test("counts by state", async () => {
    const { out } = await shell().run("status", "--project", "p1");
    expect(out).toMatch(/^identity +project p1, roles the service's default$/m);
    expect(out).toMatch(/^claims\.Bound +1$/m);
    expect(out).toMatch(/resourceClasses:\nNAME +TOTAL +FREE +HELD\nFPGA/);
  });

  test("leaves out what the caller may not see", async () => {
    service.on("listHosts", () => problem("FORBIDDEN", "admins only"));
    const { code, out } = await shell().run("status");
    expect(code).toBe(0);
    expect(out).not.toContain("hosts");
    service.on("listClaims", () => problem("INTERNAL", "broken"));
    expect((await shell().run("status")).code).toBe(9);
  });
});

describe("events --follow", () => {
  test("prints each event once, oldest first, until the interrupt", async () => {
    const later = (second: number) => ({
      ...event,
      id: `e${second}`,
      at: `2026-01-02T03:04:${second}.000Z`,
    });
    const all = [later(10), later(20), later(21), later(40)];
    service.on("listEvents", ({ query }, count) => {
      const known = all.slice(0, count + 1).filter(({ at }) => at >= (query["since"] ?? ""));
      return { json: { items: known.toReversed() } };
    });
    let sleeps = 0;
    const used = shell({ onSleep: (_, interrupt) => (++sleeps === 4 ? interrupt() : undefined) });
    const { code, out } = await used.run("events", "--follow", "--quiet");
    expect(code).toBe(0);
    expect(out).toBe("e10\ne20\ne21\ne40\n");
    expect(service.received.map(({ query }) => query["since"])).toEqual([
      "2026-01-02T03:03:55.000Z",
      "2026-01-02T03:04:10.000Z",
      "2026-01-02T03:04:11.000Z",
      "2026-01-02T03:04:30.000Z",
    ]);
    expect(service.violations).toEqual([]);
  });

  test("prints one JSON document a line with --json", async () => {
    const used = shell({ onSleep: (_, interrupt) => interrupt() });
    const { out } = await used.run("events", "--follow", "--json");
    expect(JSON.parse(out.trim())).toEqual(event);
  });

  test("names what an event is about", async () => {
    const used = shell({ onSleep: (_, interrupt) => interrupt() });
    const { out } = await used.run("events", "--follow");
    expect(out).toBe(`${event.at}  claim.bound  bound  ${ids.claim}\n`);
  });
});

describe("watch", () => {
  const busy = { ...deployable, state: "programming" };
  const running = { json: { items: [operation] } };

  test("prints a plain line per change when nobody watches", async () => {
    const states = ["ready", "ready", "programming", "programming"];
    service.on("listDeployables", (_, count) => ({
      json: { items: [{ ...deployable, state: states[count - 1] }] },
    }));
    service.on("listOperations", (_, count) => ({
      json: { items: [{ ...operation, percent: 40 * count }] },
    }));
    let sleeps = 0;
    const used = shell({ onSleep: (_, interrupt) => (++sleeps === 4 ? interrupt() : undefined) });
    const { code, out } = await used.run("watch", "--interval", "5s", "--host", "node1");
    expect(code).toBe(0);
    expect(out.trim().split("\n")).toEqual([
      `2026-01-02T03:04:05.000Z ${ids.deployable} node1 ready 1/1`,
      `2026-01-02T03:04:15.000Z ${ids.deployable} node1 programming 1/1 program writing 40 %`,
      `2026-01-02T03:04:20.000Z ${ids.deployable} node1 programming 1/1 program writing 80 %`,
    ]);
    expect(service.violations).toEqual([]);
  });

  test("redraws a table within the terminal", async () => {
    const many = Array.from({ length: 20 }, () => busy);
    service.on("listDeployables", () => ({ json: { items: many } }));
    service.on("listOperations", () => running);
    const used = shell({ columns: 120, rows: 10, onSleep: (_, interrupt) => interrupt() });
    const { out } = await used.run("watch");
    expect(out.startsWith("\u001b[H\u001b[J2026-01-02T03:04:05.000Z\nDEPLOYABLE")).toBe(true);
    expect(out).toContain("program writing 40 %");
    expect(out.trimEnd().split("\n")).toHaveLength(10);
    expect(out).toContain("… 13 more");
  });
});
