import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import * as when from "#store/expression";
import type { Failure, Item, Key, Query, Table, WriteResult } from "#store/table";

/** What every implementation of the table port must do. Each test has a partition of its own. */
export function tableConformance(
  name: string,
  open: () => Promise<{ readonly table: Table; readonly close: () => Promise<void> }>,
): void {
  describe(`${name} as a table`, () => {
    let table: Table;
    let close: () => Promise<void>;
    beforeAll(async () => ({ table, close } = await open()));
    afterAll(async () => close());

    const newKey = (sk = "ROW"): Key => ({ pk: `TEST#${randomUUID()}`, sk });
    const put = async (item: Item & Key) => table.write([{ kind: "put", item }]);
    const get = async (key: Key) => table.get(key, { consistent: true });
    const failuresOf = (result: WriteResult): readonly (Failure | undefined)[] => {
      if (result.ok) throw new Error("The write was not refused");
      return result.failures;
    };
    const pages = async (query: Query): Promise<Item[]> => {
      const items: Item[] = [];
      let next: string | undefined;
      do {
        const page = await table.query({ ...query, ...(next !== undefined && { after: next }) });
        items.push(...page.items);
        next = page.next;
      } while (next !== undefined);
      return items;
    };

    it("gives back what was put, without undefined properties", async () => {
      const key = newKey();
      const item = {
        ...key,
        text: "",
        count: -1.5,
        yes: true,
        nothing: null,
        list: [1, "a", { deep: [] }],
        map: { name: "Zoë", gone: undefined },
        gone: undefined,
      };
      expect(await put(item)).toEqual({ ok: true });
      expect(await get(key)).toStrictEqual({
        ...key,
        text: "",
        count: -1.5,
        yes: true,
        nothing: null,
        list: [1, "a", { deep: [] }],
        map: { name: "Zoë" },
      });
      expect(await get(newKey())).toBeUndefined();
    });

    it("reads many rows in the order asked, with gaps and duplicates", async () => {
      const pk = newKey().pk;
      const keys = Array.from({ length: 130 }, (_, n) => ({ pk, sk: String(n) }));
      await table.write(keys.slice(0, 99).map((key) => ({ kind: "put", item: { ...key, n: 1 } })));
      const rows = await table.getMany([...keys, { pk, sk: "7" }]);
      expect(rows).toHaveLength(131);
      expect(rows.map((row) => row?.["sk"])).toEqual([
        ...keys.map(({ sk }, n) => (n < 99 ? sk : undefined)),
        "7",
      ]);
      expect(await table.getMany([])).toEqual([]);
    });

    it("takes an empty write as done", async () => {
      expect(await table.write([])).toEqual({ ok: true });
    });

    describe("conditions", () => {
      const row = {
        revision: 3,
        name: "beta",
        size: 9,
        none: null,
        tags: ["a", { b: 1 }],
        handles: { vf0: { fence: 7, claim: "c1" }, vf1: {} },
      };
      const cases: [string, Parameters<typeof when.not>[0], boolean][] = [
        ["exists", when.exists("revision"), true],
        ["exists of null", when.exists("none"), true],
        ["exists of an absent one", when.exists("x"), false],
        ["exists in a nested map", when.exists(["handles", "vf0", "claim"]), true],
        ["absent in a nested map", when.absent(["handles", "vf1", "claim"]), true],
        ["absent below something that is no map", when.absent(["name", "x"]), true],
        ["absent of a present one", when.absent("name"), false],
        ["eq of a number", when.eq("revision", 3), true],
        ["eq of another type", when.eq("revision", "3"), false],
        ["eq of an absent one", when.eq("x", 3), false],
        ["eq of null", when.eq("none", null), true],
        ["eq of a list", when.eq("tags", ["a", { b: 1 }]), true],
        ["eq of another list", when.eq("tags", [{ b: 1 }, "a"]), false],
        ["eq of a map", when.eq(["handles", "vf0"], { claim: "c1", fence: 7 }), true],
        ["eq of a smaller map", when.eq(["handles", "vf0"], { claim: "c1" }), false],
        ["ne of another value", when.ne("name", "alpha"), true],
        ["ne of the same value", when.ne("name", "beta"), false],
        ["ne of an absent one", when.ne("x", 1), true],
        ["lt", when.lt(["handles", "vf0", "fence"], 8), true],
        ["lt of the same", when.lt(["handles", "vf0", "fence"], 7), false],
        ["le of the same", when.le(["handles", "vf0", "fence"], 7), true],
        ["gt of text", when.gt("name", "alpha"), true],
        ["gt of numbers, not of their digits", when.gt("size", 10), false],
        ["ge of the same", when.ge("name", "beta"), true],
        ["lt of an absent one", when.lt("x", 8), false],
        ["gt of another type", when.gt("name", 1), false],
        ["beginsWith", when.beginsWith("name", "be"), true],
        ["beginsWith of something else", when.beginsWith("name", "eta"), false],
        ["beginsWith of a number", when.beginsWith("revision", "3"), false],
        ["all", when.all(when.exists("name"), when.eq("revision", 3)), true],
        ["all but one", when.all(when.exists("name"), when.eq("revision", 4)), false],
        ["any", when.any(when.eq("revision", 4), when.eq("revision", 3)), true],
        ["none of any", when.any(when.eq("revision", 4), when.eq("revision", 5)), false],
        ["all of one", when.all(when.eq("revision", 3)), true],
        ["not", when.not(when.eq("revision", 4)), true],
        ["not of a comparison with an absent one", when.not(when.lt("x", 1)), true],
        ["all of nothing", when.all(), true],
        ["any of nothing", when.any(), false],
        ["not of all of nothing", when.not(when.all()), false],
        [
          "any inside all",
          when.all(when.any(when.exists("x"), when.exists("name")), when.all()),
          true,
        ],
        ["not of an any", when.not(when.any(when.exists("x"), when.exists("name"))), false],
      ];
      it.each(cases)("%s", async (_, condition, expected) => {
        const key = newKey();
        await put({ ...key, ...row });
        const check = { kind: "check", key, if: condition } as const;
        const held = { ok: true };
        const failed = { ok: false, failures: [{ reason: "condition", item: { ...key, ...row } }] };
        expect(await table.write([check])).toEqual(expected ? held : failed);
        const twoRows = await table.write([check, { kind: "delete", key: newKey() }]);
        expect(twoRows.ok).toBe(expected);
      });

      it("say of an absent row that nothing exists in it", async () => {
        const key = newKey();
        const check = (of: Parameters<typeof when.not>[0]) =>
          table.write([{ kind: "check", key, if: of }]);
        expect(await check(when.absent("pk"))).toEqual({ ok: true });
        expect(await check(when.ne("name", "beta"))).toEqual({ ok: true });
        expect(failuresOf(await check(when.exists("pk")))).toEqual([{ reason: "condition" }]);
      });

      it.each(["put", "update", "delete"] as const)(
        "stop a %s and give the row as it was",
        async (kind) => {
          const key = newKey();
          await put({ ...key, revision: 1 });
          const guarded = { if: when.eq("revision", 2) };
          const write = {
            put: { kind: "put", item: { ...key, revision: 9 }, ...guarded },
            update: { kind: "update", key, changes: [when.set("revision", 9)], ...guarded },
            delete: { kind: "delete", key, ...guarded },
          } as const;
          const failures = failuresOf(await table.write([write[kind]]));
          expect(failures).toEqual([{ reason: "condition", item: { ...key, revision: 1 } }]);
          expect(await get(key)).toEqual({ ...key, revision: 1 });
        },
      );

      it("refuse a value without an order", async () => {
        const key = newKey();
        await expect(
          table.write([{ kind: "check", key, if: when.lt("x", true) }]),
        ).rejects.toMatchObject({ code: "INTERNAL" });
      });

      it("let one of 50 racing updates win", async () => {
        const key = newKey();
        await put({ ...key, revision: 1 });
        const results = await Promise.all(
          Array.from({ length: 50 }, (_, n) =>
            table.write([
              {
                kind: "update",
                key,
                changes: [when.set("winner", n), when.add("revision", 1)],
                if: when.all(when.eq("revision", 1), when.absent("winner")),
              },
            ]),
          ),
        );
        const winners = results.flatMap(({ ok }, n) => (ok ? [n] : []));
        expect(winners).toHaveLength(1);
        expect(await get(key)).toEqual({ ...key, revision: 2, winner: winners[0] });
      });
    });

    describe("changes", () => {
      it("set, set when absent, add and remove, at the top and in maps", async () => {
        const key = newKey();
        await put({ ...key, a: 1, gone: 1, map: { b: 2, gone: 2, deep: {} } });
        const result = await table.write([
          {
            kind: "update",
            key,
            changes: [
              when.set("name", "new"),
              when.setIfAbsent("a", 9),
              when.setIfAbsent("c", { x: [] }),
              when.add(["map", "b"], 5),
              when.add("counter", -2),
              when.set(["map", "deep", "reserved name.with dot"], null),
              when.remove("gone"),
              when.remove(["map", "gone"]),
              when.remove("never there"),
            ],
          },
        ]);
        expect(result).toEqual({ ok: true });
        expect(await get(key)).toEqual({
          ...key,
          a: 1,
          name: "new",
          c: { x: [] },
          counter: -2,
          map: { b: 7, deep: { "reserved name.with dot": null } },
        });
      });

      it("create the row when there is none", async () => {
        const key = newKey();
        await table.write([{ kind: "update", key, changes: [when.add("n", 3)] }]);
        expect(await get(key)).toEqual({ ...key, n: 3 });
      });

      it.each([
        ["a way through an absent map", when.set(["none", "x"], 1)],
        ["a way through something that is no map", when.add(["n", "x"], 1)],
        ["adding to text", when.add("text", 1)],
        ["a key attribute", when.set("sk", "other")],
        ["an empty index key", when.set("gsi1pk", "")],
        ["an index key that is no text", when.set("gsi2sk", 5)],
      ])("refuse %s", async (_, change) => {
        const key = newKey();
        const before = { ...key, n: 1, text: "a" };
        await put(before);
        await expect(
          table.write([{ kind: "update", key, changes: [change] }]),
        ).rejects.toMatchObject({ code: "INTERNAL" });
        expect(await get(key)).toEqual(before);
      });

      it("refuse none at all and overlapping ones", async () => {
        const key = newKey();
        await put({ ...key, map: { x: 1 } });
        for (const changes of [[], [when.set("map", {}), when.remove(["map", "x"])]]) {
          await expect(table.write([{ kind: "update", key, changes }])).rejects.toMatchObject({
            code: "INTERNAL",
          });
        }
      });
    });

    describe("transactions", () => {
      it("write everything, or nothing with the losing rows in their places", async () => {
        const [a, b, c, d] = [newKey(), newKey(), newKey(), newKey()];
        await put({ ...b, held: "by b" });
        const writes = [
          { kind: "put", item: { ...a, n: 1 }, if: when.absent("pk") },
          { kind: "check", key: b, if: when.exists("held") },
          { kind: "update", key: c, changes: [when.set("n", 2)] },
          { kind: "delete", key: d },
        ] as const;
        expect(await table.write(writes)).toEqual({ ok: true });
        expect(await table.getMany([a, c])).toEqual([
          { ...a, n: 1 },
          { ...c, n: 2 },
        ]);

        const again = await table.write([
          { kind: "put", item: { ...a, n: 5 }, if: when.absent("pk") },
          { kind: "check", key: b, if: when.absent("held") },
          { kind: "update", key: c, changes: [when.set("n", 6)] },
          { kind: "put", item: { ...d, n: 7 }, if: when.exists("pk") },
        ]);
        expect(failuresOf(again)).toEqual([
          { reason: "condition", item: { ...a, n: 1 } },
          { reason: "condition", item: { ...b, held: "by b" } },
          undefined,
          { reason: "condition" },
        ]);
        expect(await table.getMany([a, c, d])).toEqual([{ ...a, n: 1 }, { ...c, n: 2 }, undefined]);
      });

      it("take 100 rows and refuse 101", async () => {
        const rows = Array.from({ length: 101 }, () => newKey());
        const puts = rows.map((key) => ({ kind: "put", item: { ...key } }) as const);
        await expect(table.write(puts)).rejects.toMatchObject({ code: "INTERNAL" });
        expect(await table.write(puts.slice(1))).toEqual({ ok: true });
        const found = await table.getMany(rows);
        expect(found.map((row) => row !== undefined)).toEqual(rows.map((_, n) => n > 0));
      });

      it("refuse one row twice, empty and oversized keys and rows", async () => {
        const key = newKey();
        const refused = [
          [
            { kind: "put", item: { ...key } },
            { kind: "delete", key },
          ],
          [{ kind: "put", item: { pk: "", sk: "x" } }],
          [{ kind: "delete", key: { pk: "x", sk: "" } }],
          [{ kind: "put", item: { pk: "x", sk: "s".repeat(1025) } }],
          [{ kind: "put", item: { ...key, gsi3pk: "" } }],
          [{ kind: "put", item: { ...key, big: "x".repeat(400 * 1024) } }],
          [{ kind: "put", item: { ...key, n: Number.NaN } }],
        ] as const;
        for (const writes of refused) {
          await expect(table.write(writes)).rejects.toMatchObject({ code: "INTERNAL" });
        }
        await expect(table.get({ pk: "", sk: "x" })).rejects.toMatchObject({ code: "INTERNAL" });
        expect(await get(key)).toBeUndefined();
      });
    });

    describe("queries", () => {
      const sks = ["A", "B#1", "B#10", "B#2", "C", "Z", "a", "é", "\uffee", "🚪"];
      let pk: string;
      beforeAll(async () => {
        ({ pk } = newKey());
        await table.write(
          sks.toReversed().map((sk) => ({ kind: "put", item: { pk, sk, ...listed(sk) } })),
        );
      });
      // Every other row is in the index; some have only half of its key.
      const listed = (sk: string): Item => {
        const place = sks.indexOf(sk);
        if (place % 2 === 0) return { gsi2pk: `LIST#${pk}`, gsi2sk: sk };
        return place % 3 === 0 ? { gsi2pk: `LIST#${pk}` } : { gsi2sk: sk };
      };
      const cases: [string, Omit<Query, "pk">, string[]][] = [
        ["all, by the bytes of their sort key", {}, sks],
        ["backwards", { reverse: true }, sks.toReversed()],
        ["a beginning", { sk: { beginsWith: "B#1" } }, ["B#1", "B#10"]],
        ["an empty beginning", { sk: { beginsWith: "" } }, sks],
        ["a range with both ends", { sk: { from: "B#10", to: "C" } }, ["B#10", "B#2", "C"]],
        ["from", { sk: { from: "é" } }, ["é", "\uffee", "🚪"]],
        ["up to", { sk: { to: "B#1" } }, ["A", "B#1"]],
        ["an open range", { sk: {} }, sks],
        ["an empty range", { sk: { from: "C", to: "B" } }, []],
        ["nothing up to nothing", { sk: { to: "" } }, []],
        [
          "a range backwards",
          { sk: { from: "B#1", to: "B#2" }, reverse: true },
          ["B#2", "B#10", "B#1"],
        ],
      ];
      for (const limit of [undefined, 1, 3, 10]) {
        it.each(cases)(`find %s, ${limit ?? "all"} at a time`, async (_, query, expected) => {
          const found = await pages({
            pk,
            consistent: true,
            ...query,
            ...(limit !== undefined && { limit }),
          });
          expect(found.map(({ sk }) => sk)).toEqual(expected);
        });
      }

      it("hold a page to its limit and name the next", async () => {
        const first = await table.query({ pk, limit: 4 });
        expect(first.items).toHaveLength(4);
        expect(first.next).toEqual(expect.any(String));
        const second = await table.query({ pk, limit: 4, after: first.next ?? "" });
        expect(second.items.map(({ sk }) => sk)).toEqual(sks.slice(4, 8));
      });

      it("list in an index only rows with both of its keys", async () => {
        const expected = sks.filter((_, place) => place % 2 === 0);
        for (const limit of [2, 100]) {
          const query = { index: "gsi2", pk: `LIST#${pk}`, limit } as const;
          expect((await pages(query)).map(({ sk }) => sk)).toEqual(expected);
          const back = await pages({ ...query, reverse: true });
          expect(back.map(({ sk }) => sk)).toEqual(expected.toReversed());
        }
      });

      it("page through index rows of equal sort keys without loss or repetition", async () => {
        const list = newKey().pk;
        const keys = Array.from({ length: 25 }, () => newKey());
        const item = (key: Key) => ({ ...key, gsi3pk: list, gsi3sk: "same" });
        await table.write(keys.map((key) => ({ kind: "put", item: item(key) })));
        for (const reverse of [false, true]) {
          const found = await pages({ index: "gsi3", pk: list, limit: 4, reverse });
          expect(found).toHaveLength(keys.length);
          expect(new Set(found.map((row) => row["pk"]))).toEqual(new Set(keys.map(({ pk }) => pk)));
        }
      });

      it("list in the third index keys and nothing else", async () => {
        const key = newKey();
        const list = newKey().pk;
        await put({ ...key, gsi1pk: list, gsi1sk: "1", gsi3pk: list, gsi3sk: "3", more: { n: 1 } });
        const [bare] = await pages({ index: "gsi3", pk: list });
        expect(bare).toEqual({ ...key, gsi3pk: list, gsi3sk: "3" });
        expect(await pages({ index: "gsi1", pk: list })).toEqual([await get(key)]);
      });

      it("follow a row from list to list and out", async () => {
        const key = newKey();
        const [one, two] = [newKey().pk, newKey().pk];
        const list = async (name: string) => pages({ index: "gsi1", pk: name });
        await put({ ...key, gsi1pk: one, gsi1sk: "x" });
        expect(await list(one)).toHaveLength(1);
        const update = { kind: "update", key } as const;
        await table.write([{ ...update, changes: [when.set("gsi1pk", two)] }]);
        expect([await list(one), await list(two)]).toEqual([[], [await get(key)]]);
        await table.write([{ ...update, changes: [when.remove("gsi1pk")] }]);
        expect(await list(two)).toEqual([]);
        await put({ ...key, gsi1pk: one, gsi1sk: "y" });
        await table.write([{ kind: "delete", key }]);
        expect(await list(one)).toEqual([]);
      });

      it("end a page at 1 MB", async () => {
        const big = newKey().pk;
        const pad = "x".repeat(300_000);
        for (const sk of ["1", "2", "3", "4", "5"]) await put({ pk: big, sk, pad });
        const first = await table.query({ pk: big });
        expect(first.items.length).toBeGreaterThan(2);
        expect(first.items.length).toBeLessThan(5);
        expect((await pages({ pk: big })).map(({ sk }) => sk)).toEqual(["1", "2", "3", "4", "5"]);
      });

      it("refuse a page token that is not theirs", async () => {
        const { next = "" } = await table.query({ pk, limit: 2 });
        const bytes = Buffer.from(next, "base64url");
        const tampered = bytes.toString().replace("B#1", "B#2");
        const tokens: [string, Query][] = [
          ["", { pk }],
          ["nonsense", { pk }],
          [Buffer.from("{}").toString("base64url"), { pk }],
          [Buffer.from("[]").toString("base64url"), { pk }],
          [Buffer.from(tampered).toString("base64url"), { pk }],
          [next, { pk: `${pk}x` }],
          [next, { pk, index: "gsi1" }],
        ];
        for (const [after, query] of tokens) {
          await expect(table.query({ ...query, after })).rejects.toMatchObject({
            code: "INVALID_REQUEST",
            detail: { field: "after" },
          });
        }
      });

      it("refuse a bad limit, an empty partition and a consistent read of an index", async () => {
        for (const limit of [0, -1, 1.5, Number.NaN]) {
          await expect(table.query({ pk, limit })).rejects.toMatchObject({
            code: "INVALID_REQUEST",
            detail: { field: "limit" },
          });
        }
        await expect(table.query({ pk: "" })).rejects.toMatchObject({ code: "INTERNAL" });
        await expect(table.query({ pk, index: "gsi1", consistent: true })).rejects.toMatchObject({
          code: "INTERNAL",
        });
      });
    });
  });
}
