import { describe, expect, it } from "vitest";
import { countingTable } from "#store/counting-table";
import { absent } from "#store/expression";
import { memoryTable } from "#store/memory-table";
import type { Table } from "#store/table";

const key = { pk: "a", sk: "1" };

/** A table whose calls end when they are told to. */
function held() {
  const table = memoryTable();
  const ends: (() => void)[] = [];
  const slow: Table = {
    ...table,
    get: async (...question) => {
      await new Promise<void>((end) => ends.push(end));
      return table.get(...question);
    },
  };
  return { slow, end: (call: number) => ends[call]?.() };
}

describe("counted round trips", () => {
  it("are as many as calls that wait for each other", async () => {
    const table = countingTable(memoryTable());
    await table.get(key);
    await table.query({ pk: "a" });
    await table.getMany([key]);
    await table.write([{ kind: "put", item: key, if: absent("pk") }]);
    expect(table.roundTrips()).toEqual({ calls: 4, sequential: 4 });
    table.reset();
    expect(table.roundTrips()).toEqual({ calls: 0, sequential: 0 });
  });

  it("count parallel calls once", async () => {
    const table = countingTable(memoryTable());
    await Promise.all([table.query({ pk: "a" }), table.query({ pk: "b" }), table.get(key)]);
    await table.write([{ kind: "put", item: key }]);
    expect(table.roundTrips()).toEqual({ calls: 4, sequential: 2 });
  });

  it("count a call after one that ended even while another still runs", async () => {
    const { slow, end } = held();
    const table = countingTable(slow);
    const long = table.get(key);
    const short = table.get(key);
    end(1);
    await short;
    const next = table.get(key);
    expect(table.roundTrips()).toEqual({ calls: 3, sequential: 2 });
    end(0);
    end(2);
    await Promise.all([long, next]);
    expect(table.roundTrips()).toEqual({ calls: 3, sequential: 2 });
  });

  it("count a call that failed", async () => {
    const table = countingTable(memoryTable());
    await expect(table.get({ pk: "", sk: "" })).rejects.toThrow("pk");
    await table.get(key);
    expect(table.roundTrips()).toEqual({ calls: 2, sequential: 2 });
  });
});
