import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Guest, startGuest } from "./guest.ts";
import { inside } from "./lab.ts";

const root = join(import.meta.dirname, "../..");

let guest: Guest;

beforeAll(async () => {
  guest = await startGuest();
});
afterAll(async () => {
  await guest.stop();
});

interface VitestReport {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly testResults: readonly {
    readonly message: string;
    readonly assertionResults: readonly {
      readonly fullName: string;
      readonly status: string;
      readonly failureMessages: readonly string[];
    }[];
  }[];
}

test("what every driver must do, the DFL driver does on the real kernel, as it does on the simulated one", async () => {
  const node = join(root, `node_modules/node-linux-${process.arch}/bin/node`);
  const vitest = join(root, "node_modules/vitest/vitest.mjs");
  const config = join(import.meta.dirname, "inside/vitest.config.ts");
  const report = "/run/state/report.json";
  const ran = await guest.run(
    `${inside} sh -c "cd ${root} && NO_COLOR=1 ${node} ${vitest} run \
      --configLoader native --config ${config} --reporter=json --outputFile=${report}"`,
    300_000,
  );
  const { numPassedTests, numFailedTests, testResults } = JSON.parse(
    readFileSync(join(guest.state, "report.json"), "utf8"),
  ) as VitestReport;
  const failed = testResults.flatMap(({ assertionResults }) =>
    assertionResults.filter(({ status }) => status === "failed"),
  );
  expect(failed.map((one) => [one.fullName, one.failureMessages[0]])).toEqual([]);
  expect({ numFailedTests, code: ran.code }, ran.text).toEqual({ numFailedTests: 0, code: 0 });
  expect(numPassedTests).toBeGreaterThan(30);
}, 360_000);
