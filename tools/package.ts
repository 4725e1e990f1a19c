import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { buildAll, reportOf, tooLarge } from "./build.ts";
import { describe, TemplateValidator } from "./validate-template.ts";

/**
 * Runs `serverless package` in `directory` and returns the path of the CloudFormation template.
 * Needs no credentials, network or home: the environment is empty but for PATH and `settings`.
 * Throws with what the tool printed when it fails.
 */
export function packageService(
  directory: string,
  settings: Readonly<Record<string, string>> = {},
): string {
  const home = mkdtempSync(join(tmpdir(), "gatehouse-package-"));
  try {
    const run = spawnSync(
      process.execPath,
      [join(directory, "node_modules/serverless/bin/serverless.js"), "package"],
      {
        cwd: directory,
        encoding: "utf8",
        env: {
          PATH: [dirname(process.execPath), process.env["PATH"] ?? ""].join(delimiter),
          HOME: home,
          ...settings,
        },
      },
    );
    if (run.status !== 0) throw new Error(`serverless package failed\n${run.stdout}${run.stderr}`);
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
  return join(directory, ".serverless/cloudformation-template-update-stack.json");
}

async function main(): Promise<number> {
  const root = dirname(import.meta.dirname);
  const bundles = await buildAll(root);
  for (const each of bundles) console.log(reportOf(each));
  const large = tooLarge(bundles);
  for (const { name } of large) console.error(`${name} is over 300 KB of its own code`);
  const template = packageService(root);
  using validator = new TemplateValidator();
  const findings = validator.validate(template);
  for (const finding of findings) console.log(describe(finding));
  const fatal = findings.filter((finding) => finding.fatal).length;
  console.log(
    `${template}: ${(statSync(template).size / 1024).toFixed(0)} KB, ${fatal} errors, ${findings.length - fatal} warnings`,
  );
  return fatal > 0 || large.length > 0 ? 1 : 0;
}

if (import.meta.main) process.exitCode = await main();
