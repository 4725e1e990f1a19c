import type { Benchmark } from "./figure.ts";
import { measureGrants, measureLatency, measureWrites } from "./table-writes.ts";

/** A table that runs for weeks must not slow down with what was written to it. */
export const table: Benchmark = {
  name: "table",
  about: "The offline table as it fills.",
  run: async (short) => {
    const count = short ? 20_000 : 100_000;
    const writes = await measureWrites(count, "disk");
    if (writes.heard !== count) throw new Error(`${writes.heard} of ${count} changes were heard`);
    const { p50, p99 } = await measureLatency(500, "disk");
    return [
      {
        name: `${count} writes, last tenth / first`,
        value: writes.ratio,
        unit: "×",
        budget: { atLeast: 0.8 },
        note: `${Math.round(writes.perSecond.at(-1) ?? 0)} writes/s at the end`,
      },
      { name: "6-row transactions", value: await measureGrants(2_000, "disk"), unit: "/s" },
      { name: "write → change heard, p50", value: p50, unit: "ms" },
      { name: "write → change heard, p99", value: p99, unit: "ms" },
    ];
  },
};
