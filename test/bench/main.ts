import { writeFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { accelerator } from "./accelerator.ts";
import { agent } from "./agent.ts";
import { bundles } from "./bundles.ts";
import { choice } from "./choice.ts";
import { claims } from "./claims.ts";
import { dispatch } from "./dispatch.ts";
import { type Figure, isMissed, machine, tableOf } from "./figure.ts";
import { handler } from "./handler.ts";
import { host } from "./host.ts";
import { ingest } from "./ingest.ts";
import { placement } from "./placement.ts";
import { storm } from "./storm.ts";
import { table } from "./table.ts";

/** In this order: the agent's benchmark runs the bundle that `bundles` builds. */
const benchmarks = [
  handler,
  claims,
  storm,
  choice,
  accelerator,
  dispatch,
  ingest,
  bundles,
  agent,
  host,
  table,
  placement,
];

const help = `npm run bench -- [--short] [--only NAME]... [--json FILE]

Measures against the budgets of the design. A missed budget is listed and is no failure; the exit
code is 1 only when a benchmark cannot run. Names: ${benchmarks.map(({ name }) => name).join(", ")}.
`;

const { values } = parseArgs({
  options: {
    short: { type: "boolean", default: false },
    only: { type: "string", multiple: true },
    json: { type: "string" },
    help: { type: "boolean", short: "h", default: false },
  },
});

async function run(): Promise<number> {
  const wanted = benchmarks.filter(({ name }) => values.only?.includes(name) ?? true);
  const figures: Figure[] = [];
  let broken = 0;
  process.stdout.write(`${machine()}\n`);
  for (const benchmark of wanted) {
    process.stdout.write(`\n${benchmark.name}\n`);
    try {
      const measured = await benchmark.run(values.short);
      figures.push(...measured);
      process.stdout.write(`${tableOf(measured)}\n`);
    } catch (error) {
      broken += 1;
      process.stderr.write(
        `${benchmark.name} is broken: ${error instanceof Error ? error.stack : String(error)}\n`,
      );
    }
  }
  const missed = figures.filter(isMissed);
  process.stdout.write(
    missed.length === 0
      ? "\nAll budgets are kept.\n"
      : `\nMissed budgets (${missed.length}):\n${tableOf(missed)}\n`,
  );
  if (values.json !== undefined) {
    await writeFile(values.json, JSON.stringify({ machine: machine(), figures }, null, 2));
  }
  return broken === 0 ? 0 : 1;
}

if (values.help) process.stdout.write(help);
else process.exitCode = await run();
