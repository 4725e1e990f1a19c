import { describe, expect, it } from "vitest";
import { absent, add, set } from "#store/expression";
import { memoryTable } from "#store/memory-table";

const key = { pk: "a", sk: "1" };

describe("a table in memory", () => {
  it("shows all rows in key order", async () => {
    const table = memoryTable();
    const keys = [
      { pk: "b", sk: "1" },
      { pk: "a", sk: "2" },
      { pk: "a", sk: "1" },
    ];
    await table.write(keys.map((item) => ({ kind: "put", item })));
    expect(table.items()).toEqual(keys.toReversed());
  });

  it("keeps copies: neither writer nor reader can change a stored row", async () => {
    const table = memoryTable();
    const item = { ...key, map: { n: 1 }, list: [1] };
    await table.write([{ kind: "put", item }]);
    item.map.n = 2;
    item.list.push(2);
    const row = (await table.get(key)) as typeof item;
    expect(row).toEqual({ ...key, map: { n: 1 }, list: [1] });
    expect(() => (row.map.n = 3)).toThrow(TypeError);
    expect(() => row.list.push(3)).toThrow(TypeError);
  });

  it("tells of each change in order, and of none when a write is refused", async () => {
    const table = memoryTable();
    const heard: unknown[] = [];
    const stop = table.onChange((change) => heard.push(change));
    const other = { pk: "b", sk: "1" };
    await table.write([
      { kind: "put", item: { ...key, n: 1 } },
      { kind: "put", item: other },
      { kind: "check", key: { pk: "c", sk: "1" }, if: absent("pk") },
      { kind: "delete", key: { pk: "never", sk: "there" } },
    ]);
    await table.write([{ kind: "update", key, changes: [add("n", 1)] }]);
    await table.write([
      { kind: "delete", key: other },
      { kind: "put", item: { ...key, n: 9 }, if: absent("pk") },
    ]);
    await table.write([{ kind: "delete", key: other }]);
    stop();
    await table.write([{ kind: "update", key, changes: [set("n", 7)] }]);
    expect(heard).toEqual([
      { key, after: { ...key, n: 1 } },
      { key: other, after: other },
      { key, before: { ...key, n: 1 }, after: { ...key, n: 2 } },
      { key: other, before: other },
    ]);
  });
});
