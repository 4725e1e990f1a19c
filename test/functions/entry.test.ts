import type { Context } from "aws-lambda";
import { afterEach, expect, test } from "vitest";
import { entry } from "../../functions/entry.ts";

const setting = "GATEHOUSE_ENTRY_TEST";
afterEach(() => {
  delete process.env[setting];
});

test("the handler is built once, on first use, from the process's environment", async () => {
  let built = 0;
  const handler = entry((environment) => {
    built += 1;
    return async (event: string) => `${event} ${environment[setting]}`;
  });
  process.env[setting] = "set later";
  expect(built).toBe(0);
  expect(await handler("a", {} as Context)).toBe("a set later");
  expect(await handler("b", {} as Context)).toBe("b set later");
  expect(built).toBe(1);
});

test("a wrong setting fails the call with its reason, and the next call builds again", async () => {
  const handler = entry((environment) => {
    if (environment[setting] === undefined) throw new Error(`${setting} is not set`);
    return async () => "built";
  });
  await expect(handler(undefined, {} as Context)).rejects.toThrow(`${setting} is not set`);
  process.env[setting] = "x";
  expect(await handler(undefined, {} as Context)).toBe("built");
});
