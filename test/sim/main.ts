import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { Crowd } from "./crowd.ts";
import { type FaultKind, faultKinds } from "./faults.ts";
import { invariants } from "./judge/invariants.ts";
import { plants } from "./plants.ts";
import { type Finding, numbersOf, Seeds, type Work } from "./seeds.ts";

const help = `npm run sim -- [options]

The whole system under simulated time, network, table, disks and cards; every invariant is judged
after every step. The same seed is always the same run. Exit code 1 when anything was found.

  --seed N        the first seed (1)
  --seeds K       how many, one after the other (100; 1 with --verbose)
  --minutes X     as many seeds as there is time for
  --ops M         what clients, operators and misfortune do in one run (1000)
  --hosts H       hosts with 2 to 7 handles each (2)
  --faults LIST   only these kinds, by comma; none for a fair day
  --keep LIST     only the ops of these numbers, as 3,7-12 (a replay line says which)
  --plant NAME    with a defect that is planted
  --workers N     one per core
  --verbose       says what happens, step by step

Faults: ${faultKinds.join(" ")}
Plants: ${Object.keys(plants).join(" ")}
`;

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    seeds: { type: "string" },
    minutes: { type: "string" },
    ops: { type: "string", default: "1000" },
    hosts: { type: "string", default: "2" },
    faults: { type: "string" },
    keep: { type: "string" },
    plant: { type: "string" },
    workers: { type: "string" },
    verbose: { type: "boolean", default: false },
    help: { type: "boolean", short: "h", default: false },
  },
});

function faultsFrom(text: string | undefined): readonly FaultKind[] | undefined {
  if (text === undefined) return undefined;
  const names = text === "none" ? [] : text.split(",");
  const unknown = names.find((name) => !faultKinds.some((kind) => kind === name));
  if (unknown !== undefined) throw new Error(`no kind of fault ${unknown}`);
  return faultKinds.filter((kind) => names.includes(kind));
}

const work: Work = {
  ops: Number(values.ops),
  hosts: Number(values.hosts),
  faults: faultsFrom(values.faults),
  plant: values.plant,
};

/** One run, told step by step. */
async function tell(): Promise<number> {
  const log = (line: string) => void process.stdout.write(`${line}\n`);
  const keep = values.keep === undefined ? undefined : numbersOf(values.keep);
  const result = await new Seeds(work).run(Number(values.seed), { log, keep });
  const { violation, ...facts } = result;
  log(JSON.stringify(facts));
  if (violation === undefined) return 0;
  const { invariant, message, at } = violation;
  log(`${invariant}: ${invariants[invariant]}\n  ${message} (at ${at} ms)`);
  return 1;
}

function show({ seed, invariant, what, replay, cut }: Finding): void {
  const broken = Object.entries(invariants).find(([name]) => name === invariant)?.[1];
  process.stdout.write(`\nseed ${seed} ${invariant}: ${broken ?? "something was thrown"}\n`);
  process.stdout.write(`  ${what}\n`);
  if (cut !== undefined) {
    process.stdout.write(`  ${cut.keep.length} ops and ${cut.faults.length} kinds of faults\n`);
  }
  process.stdout.write(`  ${replay}\n`);
}

if (values.help) process.stdout.write(help);
else if (values.verbose) process.exitCode = await tell();
else {
  const { minutes, seeds, seed, workers } = values;
  const crowd = new Crowd(work, {
    first: Number(seed),
    seeds: Number(seeds ?? (minutes === undefined ? 100 : Number.POSITIVE_INFINITY)),
    minutes: Number(minutes ?? Number.POSITIVE_INFINITY),
    workers: Number(workers ?? availableParallelism()),
    show,
    say: (line) => void process.stdout.write(`${line}\n`),
  });
  process.exitCode = (await crowd.run()) ? 0 : 1;
}
