import { parentPort, workerData } from "node:worker_threads";
import { Seeds, type Work } from "./seeds.ts";

/** Judges one seed for each message, one after the other. */
const seeds = new Seeds(workerData as Work);
let last: Promise<void> = Promise.resolve();
parentPort?.on("message", (seed: number) => {
  last = last.then(async () => parentPort?.postMessage(await seeds.judge(seed), []));
});
