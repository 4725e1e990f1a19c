import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import manifest from "../../package.json" with { type: "json" };

const bin = fileURLToPath(new URL(`../../${manifest.bin.gatehouse}`, import.meta.url));
const start = (...argv: string[]) => promisify(execFile)(process.execPath, [bin, ...argv]);

test("the bin prints to stdout and ends with 0", async () => {
  const { stdout, stderr } = await start("--version");
  expect(stdout).toBe(`${manifest.version}\n`);
  expect(stderr).toBe("");
});

test("the bin prints errors to stderr and ends with their exit code", async () => {
  await expect(start("claims", "show")).rejects.toMatchObject({
    code: 2,
    stdout: "",
    stderr: expect.stringContaining("error INVALID_REQUEST: claims show: CLAIM is missing"),
  });
});
