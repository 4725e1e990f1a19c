import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Violation } from "./ledger.ts";
import { help, type Options, planted, readOptions } from "./options.ts";
import { Rounds } from "./rounds.ts";
import { seeded } from "./seeded.ts";
import { openSite } from "./site.ts";

const say = (line: string) => process.stdout.write(`${line}\n`);

async function runAll(options: Options): Promise<number> {
  if (options.planted !== "all") return await run(options);
  let missed = 0;
  for (const name of Object.keys(planted)) missed += await run({ ...options, planted: name });
  return missed === 0 ? 0 : 1;
}

async function run(options: Options): Promise<number> {
  const { rounds, seed, hosts, planted: name } = options;
  const dir = mkdtempSync(join(tmpdir(), "gatehouse-chaos-"));
  say(`chaos seed ${seed}, ${rounds} rounds, ${hosts} hosts${name ? `, planted ${name}` : ""}`);
  const started = performance.now();
  const violations = await runRounds(dir, options).catch((error: unknown) => {
    say(`broke off; logs in ${dir}`);
    throw error;
  });
  const took = `${((performance.now() - started) / 60_000).toFixed(1)} min`;
  for (const { check, what } of violations) say(`  violated: ${check}: ${what}`);
  const broken = planted[name ?? ""];
  if (broken === undefined && violations.length > 0) {
    say(`failed after ${took}: npm run chaos -- --seed ${seed} --hosts ${hosts}; logs in ${dir}`);
    return 1;
  }
  rmSync(dir, { recursive: true, force: true });
  if (broken === undefined) {
    say(`ok in ${took}`);
    return 0;
  }
  const isFound = violations.some(({ check }) => check === broken.finds);
  say(isFound ? `found as "${broken.finds}" in ${took}` : `not found in ${took}`);
  return isFound ? 0 : 1;
}

async function runRounds(dir: string, options: Options): Promise<readonly Violation[]> {
  const { rounds, seed, minutes, hosts, planted: name } = options;
  const end = performance.now() + minutes * 60_000;
  const site = await openSite(dir, hosts);
  const stop = () => void site.close().finally(() => process.exit(130));
  process.once("SIGINT", stop);
  process.once("SIGTERM", stop);
  try {
    site.plant(planted[name ?? ""] ?? { cloud: "", agents: "" });
    const all = new Rounds(site, (part) => seeded(seed, part));
    for (let round = 1; round <= rounds && performance.now() < end; round += 1) {
      say(await all.run(round));
      if (all.violations.length > 0) return all.violations;
    }
    say(await all.last());
    return all.violations;
  } finally {
    await site.close();
  }
}

try {
  const options = readOptions(process.argv.slice(2));
  if (options === undefined) process.stdout.write(help);
  else process.exitCode = await runAll(options);
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
