import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { loadavg } from "node:os";
import { parseArgs } from "node:util";
import { benchmarks } from "./benchmarks.ts";
import { type Figure, isMissed, machine, tableOf } from "./figure.ts";
import { pageOf, type Section } from "./page.ts";

const names = benchmarks.map(({ name }) => name);

const help = `npm run bench -- [--short] [--only NAME]... [--json FILE] [--markdown FILE]

Measures against the budgets of the design. A missed budget is listed and is no failure; the exit
code is 1 only when a benchmark cannot run. --markdown writes the page that people read; with --only
the sections of the other benchmarks stay as they are. Names: ${names.join(", ")}.
`;

const { values } = parseArgs({
  options: {
    short: { type: "boolean", default: false },
    only: { type: "string", multiple: true },
    json: { type: "string" },
    markdown: { type: "string" },
    help: { type: "boolean", short: "h", default: false },
  },
});

/** The commit that is measured; a tree without one is measured as well. */
function commit(): string {
  try {
    return execFileSync("git", ["rev-parse", "--short", "HEAD"], { encoding: "utf8" }).trim();
  } catch {
    return "unknown";
  }
}

/** With what else kept the machine busy: a figure from a machine that was at something else is none. */
function conditions(): string {
  const load = loadavg()[0] ?? 0;
  const run = values.short ? "short run" : "long run";
  return `${machine()}, commit ${commit()}, ${run}, load ${load.toFixed(1)} before it`;
}

async function keep(sections: readonly Section[]): Promise<void> {
  const { json, markdown } = values;
  const figures = sections.flatMap((section) => section.figures);
  if (json !== undefined) {
    await writeFile(json, JSON.stringify({ machine: machine(), figures }, null, 2));
  }
  if (markdown === undefined) return;
  const before = existsSync(markdown) ? readFileSync(markdown, "utf8") : "";
  await writeFile(markdown, pageOf(before, sections, names));
}

async function run(): Promise<number> {
  const wanted = benchmarks.filter(({ name }) => values.only?.includes(name) ?? true);
  const sections: Section[] = [];
  let broken = 0;
  process.stdout.write(`${machine()}\n`);
  for (const { name, about, run: measure } of wanted) {
    process.stdout.write(`\n${name}\n`);
    const measuredOn = conditions();
    try {
      const figures = await measure(values.short);
      sections.push({ name, about, measuredOn, figures });
      process.stdout.write(`${tableOf(figures)}\n`);
    } catch (error) {
      broken += 1;
      process.stderr.write(
        `${name} is broken: ${error instanceof Error ? error.stack : String(error)}\n`,
      );
    }
  }
  const missed: readonly Figure[] = sections.flatMap(({ figures }) => figures.filter(isMissed));
  process.stdout.write(
    missed.length === 0
      ? "\nAll budgets are kept.\n"
      : `\nMissed budgets (${missed.length}):\n${tableOf(missed)}\n`,
  );
  await keep(sections);
  return broken === 0 ? 0 : 1;
}

if (values.help) process.stdout.write(help);
else process.exitCode = await run();
