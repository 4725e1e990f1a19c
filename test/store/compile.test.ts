import { describe, expect, it } from "vitest";
import { compileQuery, compileWrite } from "#store/compile";
import * as when from "#store/expression";

const { absent, add, all, any, beginsWith, eq, exists, ge, lt, ne, not } = when;
const { remove, set, setIfAbsent } = when;

describe("a condition as an expression", () => {
  it.each([
    [exists("a"), "attribute_exists(#0)"],
    [absent(["a", "b"]), "attribute_not_exists(#0.#1)"],
    [eq("a", 1), "#0 = :0"],
    [ne("a", 1), "#0 <> :0"],
    [lt("a", 1), "#0 < :0"],
    [ge("a", 1), "#0 >= :0"],
    [beginsWith("a", "x"), "begins_with(#0, :0)"],
    [not(exists("a")), "NOT (attribute_exists(#0))"],
    [all(exists("a"), exists("b")), "(attribute_exists(#0) AND attribute_exists(#1))"],
    [not(any(exists("a"), exists("b"))), "NOT (attribute_exists(#0) OR attribute_exists(#1))"],
    [all(exists("a")), "attribute_exists(#0)"],
    [all(), "(attribute_exists(#0) OR attribute_not_exists(#0))"],
    [any(), "(attribute_exists(#0) AND attribute_not_exists(#0))"],
  ])("%j", (condition, text) => {
    expect(compileWrite({ if: condition }).ConditionExpression).toBe(text);
  });

  it("shares a placeholder between equal names and gives each value its own", () => {
    const condition = all(eq("a", 1), eq(["b", "a"], "1"));
    expect(compileWrite({ if: condition })).toEqual({
      ConditionExpression: "(#0 = :0 AND #1.#0 = :1)",
      ExpressionAttributeNames: { "#0": "a", "#1": "b" },
      ExpressionAttributeValues: { ":0": { N: "1" }, ":1": { S: "1" } },
    });
  });

  it("leaves out what is not needed", () => {
    expect(compileWrite({})).toEqual({});
    expect(compileWrite({ if: exists("a") })).not.toHaveProperty("ExpressionAttributeValues");
  });
});

it("writes changes as SET and REMOVE beside the condition", () => {
  const changes = [
    set("a", "x"),
    setIfAbsent("b", []),
    add(["c", "d"], 2),
    remove("e"),
    remove("f"),
  ];
  expect(compileWrite({ changes, if: exists("a") })).toEqual({
    UpdateExpression:
      "SET #0 = :0, #1 = if_not_exists(#1, :1), #2.#3 = if_not_exists(#2.#3, :3) + :2 REMOVE #4, #5",
    ConditionExpression: "attribute_exists(#0)",
    ExpressionAttributeNames: { "#0": "a", "#1": "b", "#2": "c", "#3": "d", "#4": "e", "#5": "f" },
    ExpressionAttributeValues: {
      ":0": { S: "x" },
      ":1": { L: [] },
      ":2": { N: "2" },
      ":3": { N: "0" },
    },
  });
});

describe("a query as a key condition", () => {
  it.each([
    [{}, "#0 = :0"],
    [{ beginsWith: "x" }, "#0 = :0 AND begins_with(#1, :1)"],
    [{ from: "x" }, "#0 = :0 AND #1 >= :1"],
    [{ to: "x" }, "#0 = :0 AND #1 <= :1"],
    [{ from: "x", to: "y" }, "#0 = :0 AND #1 BETWEEN :1 AND :2"],
  ])("%j", (range, text) => {
    expect(compileQuery({ pk: "p" }, range).KeyConditionExpression).toBe(text);
  });

  it("uses the key attributes of the index", () => {
    const expression = compileQuery({ pk: "p", index: "gsi3" }, { from: "x" });
    expect(expression.ExpressionAttributeNames).toEqual({ "#0": "gsi3pk", "#1": "gsi3sk" });
  });
});
