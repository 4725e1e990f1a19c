import { describe, expect, test } from "vitest";
import { dueShards, listShards, poolShards } from "#store/keys";
import { prices } from "../bench/prices.ts";
import { pageText, tableRows } from "./pages.ts";

const page = pageText("docs/scale.md");
const section = /^## cost$[\s\S]*?(?=^## |(?![\s\S]))/m.exec(pageText("docs/performance.md"))?.[0];
const measured = new Map(
  tableRows(section ?? "").map(([name = "", value = "", , , note = ""]) => [
    name,
    { value: Number.parseFloat(value), note },
  ]),
);

/** Two digits that count, as the page says them. */
function short(value: number): string {
  return Number(value.toPrecision(2)).toLocaleString("en-US", { maximumFractionDigits: 6 });
}

function figure(name: string): number {
  const found = measured.get(name)?.value;
  if (found === undefined) throw new Error(`docs/performance.md has no figure "${name}"`);
  return found;
}

/** How many rows of a kind one thing writes, as the note of its figure says. */
function rowsOf(what: string, kind: string): number {
  const note = measured.get(`${what}: table writes`)?.note ?? "";
  return Number(new RegExp(`${kind} ([\\d.]+)`).exec(note)?.[1]);
}

const claim = "claim of a loaded image until Bound";
const release = "release, scrub, reload until offered again";
const both = (unit: string) => figure(`${claim}: ${unit}`) + figure(`${release}: ${unit}`);

/** The row of a table of the page that begins with this cell. */
function rowOf(name: string): readonly string[] {
  return tableRows(page).find(([first]) => first === name) ?? [];
}

describe("what docs/scale.md says things cost", () => {
  test.each([claim, release, "ping"])("%s: is what the bench measured", (what) => {
    const units = ["table writes", "table reads", "function calls", "function time"];
    const expected = [...units, "socket messages"].map((unit) => short(figure(`${what}: ${unit}`)));
    expect(rowOf(what).slice(1)).toEqual(expected);
  });

  test("the watch over a host is what the bench measured", () => {
    const what = "watch over a host for a minute";
    const expected = ["table writes", "table reads"].map((unit) =>
      short(figure(`${what}: ${unit}`)),
    );
    expect(rowOf(what).slice(1, 3)).toEqual(expected);
  });

  test("dollars are the bench's", () => {
    const agents = figure("10,000 idle agents, a month");
    expect(rowOf("a million claims, each with all that follows")[1]).toBe(
      `${short(figure("a million claims"))} $`,
    );
    expect(rowOf("10,000 idle agents, a month")[1]).toBe(`${short(agents)} $`);
    expect(rowOf("one idle host, a month")[1]).toBe(`${short(agents / 10_000)} $`);
  });

  test("prices are those that the bench calculates with", () => {
    const perMillion = (price: number) => `${Number((price * 1e6).toPrecision(6))} $`;
    expect(rowOf("table write unit")[1]).toBe(perMillion(prices.writeUnit));
    expect(rowOf("table read unit")[1]).toBe(perMillion(prices.readUnit));
    expect(rowOf("function call")[1]).toBe(perMillion(prices.lambdaRequest));
    expect(rowOf("function GB-second, arm64")[1]).toBe(perMillion(prices.lambdaGbSecond));
    expect(rowOf("HTTP request")[1]).toBe(perMillion(prices.httpRequest));
    expect(rowOf("socket message of up to 32 KB")[1]).toBe(perMillion(prices.socketMessage));
    expect(rowOf("minute of an open socket")[1]).toBe(perMillion(prices.socketMinute));
  });
});

describe("what docs/scale.md calculates from that", () => {
  const writes = both("table writes");
  const deployables = rowsOf(claim, "HOST/DPL") + rowsOf(release, "HOST/DPL");
  const lives = 1_000_000 / 3600;
  const pings = 125_000 / 30;
  const seconds = (both("function time") * lives + figure("ping: function time") * pings) / 1000;

  test.each([
    ["write units of a life", writes],
    ["lives per second a new table sustains", 4000 / writes],
    ["lives per second the list of deployables takes", (1000 * listShards) / (2 * deployables)],
    ["write units per second of a million cards", writes * lives + pings],
    [
      "read units per second of a million cards",
      both("table reads") * lives + pings + 125_000 / 60,
    ],
    ["function calls per second of a million cards", both("function calls") * lives + pings],
    ["functions at a time for a million cards", seconds],
  ])("%s", (name, value) => {
    expect(rowOf(name)[1]).toBe(short(value));
  });

  test("from the shards that there are", () => {
    expect([poolShards, listShards, dueShards]).toEqual([4, 4, 4]);
    expect(page).toContain("`DEPLOYABLES#0…3`");
  });
});
