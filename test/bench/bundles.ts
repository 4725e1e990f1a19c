import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { buildAll } from "../../tools/build.ts";
import type { Benchmark, Figure } from "./figure.ts";

const root = join(import.meta.dirname, "..", "..");
const runs = 5;

/** Median time of `require(file)` in a fresh process, in milliseconds. */
function importMs(file: string): number {
  const script = `const t=performance.now();require(${JSON.stringify(file)});console.log(performance.now()-t)`;
  const times = Array.from({ length: runs }, () =>
    Number(execFileSync(process.execPath, ["-e", script], { encoding: "utf8" })),
  );
  return times.toSorted((a, b) => a - b)[Math.floor(runs / 2)] ?? 0;
}

/** Size and import time of what is deployed; the largest of each, and every miss by name. */
export const bundles: Benchmark = {
  name: "bundles",
  about: "What is deployed: sizes, and the time to load.",
  run: async () => {
    const built = (await buildAll(root)).filter(({ zip }) => zip !== undefined);
    const measured = built.map((bundle) => ({
      ...bundle,
      ms: importMs(join(root, ".build/functions", bundle.name, "index.js")),
    }));
    const largest = measured.toSorted((a, b) => b.own - a.own)[0];
    const slowest = measured.toSorted((a, b) => b.ms - a.ms);
    const figures: Figure[] = [
      {
        name: "largest function, own code",
        value: (largest?.own ?? 0) / 1024,
        unit: "KB",
        budget: { atMost: 300 },
        note: `${largest?.name ?? ""}, beside ${Math.round((largest?.sdk ?? 0) / 1024)} KB of SDK clients`,
      },
    ];
    const missed = slowest.filter(({ ms }) => ms > 80);
    const shown = missed.length > 0 ? missed : slowest.slice(0, 1);
    return [
      ...figures,
      ...shown.map(({ name, ms }) => ({
        name: `import ${name}`,
        value: ms,
        unit: "ms",
        budget: { atMost: 80 },
      })),
    ];
  },
};
