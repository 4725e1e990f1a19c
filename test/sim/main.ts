import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { Worker } from "node:worker_threads";
import { type FaultKind, faultKinds } from "./faults.ts";
import { invariants } from "./judge/invariants.ts";
import { plants } from "./plants.ts";
import { type Finding, type SeedResult, Seeds, type Work } from "./seeds.ts";

const help = `npm run sim -- [options]

The whole system under simulated time, network, table, disks and cards; every invariant is judged
after every step. The same seed is always the same run. Exit code 1 when anything was found.

  --seed N        the first seed (1)
  --seeds K       how many, one after the other (100; 1 with --verbose)
  --minutes X     as many seeds as there is time for
  --ops M         what clients, operators and misfortune do in one run (1000)
  --hosts H       hosts with 2 to 7 handles each (2)
  --faults LIST   only these kinds, by comma; none for a fair day
  --keep LIST     only the ops of these numbers (as a replay line says)
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
  const keep = values.keep?.split(",").map(Number);
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

/** Seeds on all cores until enough or until the time is over. */
class Crowd {
  readonly #first = Number(values.seed);
  readonly #end: number;
  readonly #until: number;
  readonly #started = performance.now();
  #next = this.#first;
  #done = 0;
  #found = 0;
  #requests = 0;
  #events = 0;
  #tableCalls = 0;
  #told = 0;

  constructor() {
    const minutes = values.minutes === undefined ? undefined : Number(values.minutes);
    const count = Number(values.seeds ?? (minutes === undefined ? 100 : Number.POSITIVE_INFINITY));
    this.#end = this.#first + count;
    this.#until = this.#started + (minutes ?? Number.POSITIVE_INFINITY) * 60_000;
  }

  async run(): Promise<number> {
    const workers = Number(values.workers ?? availableParallelism());
    await Promise.all(Array.from({ length: workers }, () => this.#employ()));
    this.#summary();
    return this.#found === 0 && this.#done > 0 ? 0 : 1;
  }

  #employ(): Promise<void> {
    const worker = new Worker(new URL("worker.ts", import.meta.url), {
      workerData: work,
      // Nearly everything dies young: the larger its place, the less of it has to be copied.
      resourceLimits: { maxYoungGenerationSizeMb: 64 },
    });
    return new Promise((resolve, reject) => {
      const give = () => {
        if (this.#next >= this.#end || performance.now() >= this.#until) {
          worker.terminate().then(() => resolve(), reject);
          return;
        }
        worker.postMessage(this.#next, []);
        this.#next += 1;
      };
      worker.on("message", (result: SeedResult) => {
        this.#take(result);
        give();
      });
      worker.on("error", reject);
      give();
    });
  }

  #take(seed: SeedResult): void {
    this.#done += 1;
    this.#requests += seed.result?.requests ?? 0;
    this.#events += seed.result?.events ?? 0;
    this.#tableCalls += seed.result?.tableCalls ?? 0;
    if (seed.kind === "found") {
      this.#found += 1;
      show(seed.finding);
    }
    const seconds = (performance.now() - this.#started) / 1000;
    if (seconds - this.#told < 30) return;
    this.#told = seconds;
    this.#summary();
  }

  #summary(): void {
    const seconds = (performance.now() - this.#started) / 1000;
    const rate = (count: number) => (count / seconds).toFixed(count / seconds < 10 ? 2 : 0);
    process.stdout.write(
      `seeds ${this.#first} to ${this.#next - 1}: ${this.#done} done, ${this.#found} found something; ` +
        `${rate(this.#done)} seeds/s, ${rate(this.#done * work.ops)} ops/s, ` +
        `${rate(this.#requests)} requests/s, ${rate(this.#tableCalls)} table calls/s, ` +
        `${rate(this.#events)} events/s\n`,
    );
  }
}

if (values.help) process.stdout.write(help);
else process.exitCode = values.verbose ? await tell() : await new Crowd().run();
