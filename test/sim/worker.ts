import { parentPort, workerData } from "node:worker_threads";
import { Seeds, type Work } from "./seeds.ts";

/** Judges one seed for each message, one after the other; says `begun` before each run of it. */
const seeds = new Seeds(workerData as Work, () => parentPort?.postMessage("begun", []));
let last: Promise<void> = Promise.resolve();
parentPort?.on("message", (seed: number) => {
  last = last.then(async () => parentPort?.postMessage(await seeds.judge(seed), []));
});
