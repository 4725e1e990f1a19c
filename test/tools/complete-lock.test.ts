import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { completeLock } from "../../tools/complete-lock.ts";

const lock = JSON.parse(readFileSync("package-lock.json", "utf8")) as Parameters<
  typeof completeLock
>[0];

test("the lock names every optional platform package, so that npm ci takes it anywhere", () => {
  expect(Object.keys(completeLock(lock).packages)).toEqual(Object.keys(lock.packages));
});

test("a platform package that was left out comes back with its platform", () => {
  const name = "node_modules/@oxlint/binding-linux-arm-musleabihf";
  const { [name]: known, ...packages } = lock.packages;
  expect(known).toBeDefined();
  expect(completeLock({ ...lock, packages }).packages[name]).toMatchObject({
    os: ["linux"],
    cpu: ["arm"],
    libc: ["musl"],
    optional: true,
  });
});
