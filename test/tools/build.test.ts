import { execFileSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Bundle, buildAll, reportOf, tooLarge } from "../../tools/build.ts";

const root = mkdtempSync(join(tmpdir(), "build-"));
let bundles: Bundle[];

beforeAll(async () => {
  mkdirSync(join(root, "functions/http"), { recursive: true });
  mkdirSync(join(root, "cli"));
  const service = ["client", "hello"].map((name) => {
    return `  ${name}: { package: { artifact: .build/functions/http-${name}.zip } }`;
  });
  writeFileSync(
    join(root, "serverless.yml"),
    `service: x
provider: { stage: x }
functions:
${service.join("\n")}
resources: { Resources: { Table: { Type: AWS::DynamoDB::Table } } }
`,
  );
  // Not an entry: no artifact names it.
  writeFileSync(join(root, "functions/http/helper.ts"), "export const helper = 1;");
  symlinkSync(join(process.cwd(), "node_modules"), join(root, "node_modules"));
  cpSync("functions/entry.ts", join(root, "functions/entry.ts"));
  writeFileSync(
    join(root, "functions/http/hello.ts"),
    `import { entry } from "../entry.ts";
     export const handler = entry((environment) => async () => "hello " + environment["NAME"]);`,
  );
  writeFileSync(
    join(root, "functions/http/client.ts"),
    `import { ApiGatewayManagementApiClient } from "@aws-sdk/client-apigatewaymanagementapi";
     export const handler = async () => new ApiGatewayManagementApiClient({});`,
  );
  writeFileSync(join(root, "cli/main.ts"), `console.log("cli");`);
  bundles = await buildAll(root);
});
afterAll(() => rmSync(root, { recursive: true }));

test("every function gets a bundle and a zip, a program a bundle", () => {
  expect(bundles.map(({ name, zip }) => [name, zip !== undefined])).toEqual([
    ["http-client", true],
    ["http-hello", true],
    ["cli", false],
  ]);
});

test("the SDK is counted apart from own code", () => {
  const [client, hello] = bundles;
  expect(client?.sdk).toBeGreaterThan(50_000);
  expect(client?.own).toBeLessThan(300 * 1024);
  expect(hello?.sdk).toBe(0);
  expect(hello?.own).toBeGreaterThan(50);
  expect(reportOf(hello ?? { name: "", own: 0, sdk: 0 })).toMatch(
    /^http-hello +own +\d+ KB +sdk +0 KB +zip/,
  );
});

test("a bundle runs as CommonJS", () => {
  const path = JSON.stringify(join(root, ".build/functions/http-hello/index.js"));
  const code = `require(${path}).handler().then((text) => console.log(text))`;
  const { PATH = "" } = process.env;
  const said = execFileSync(process.execPath, ["--input-type=commonjs", "-e", code], {
    env: { PATH, NAME: "you" },
    encoding: "utf8",
  });
  expect(said).toBe("hello you\n");
});

test("building again gives the same bytes, and nothing of an older build stays", async () => {
  const zip = join(root, ".build/functions/http-hello.zip");
  const before = readFileSync(zip);
  writeFileSync(join(root, ".build/functions/http-old.zip"), "old");
  await buildAll(root);
  expect(readFileSync(zip).equals(before)).toBe(true);
  expect(existsSync(join(root, ".build/functions/http-old.zip"))).toBe(false);
});

test("only functions have a size limit", () => {
  const large = { own: 301 * 1024, sdk: 0 };
  const bundles = [
    { name: "f", ...large, zip: 1 },
    { name: "agent", ...large },
    { name: "g", own: 1, sdk: 9_000_000, zip: 1 },
  ];
  expect(tooLarge(bundles).map(({ name }) => name)).toEqual(["f"]);
});

test("a source that does not compile, or is not there, fails the build", async () => {
  const path = join(root, "functions/http/hello.ts");
  writeFileSync(path, "export const = 1");
  await expect(buildAll(root)).rejects.toThrow(/hello\.ts/);
  // Nothing of it is still at work.
  expect(existsSync(join(root, ".build/functions/http-client.zip"))).toBe(true);
  rmSync(path);
  await expect(buildAll(root)).rejects.toThrow(/hello\.ts/);
});
