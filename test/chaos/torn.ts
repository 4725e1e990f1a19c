import { existsSync, readdirSync, statSync, truncateSync } from "node:fs";
import { join } from "node:path";
import type { Seeded } from "./seeded.ts";

/** Cuts off the end of records of an agent that is down, as a disk without a battery does. */
export function tearMemory(hostDir: string, random: Seeded): readonly string[] {
  const folders = ["marks", "journal"].map((kind) => join(hostDir, "agent", kind));
  const records = folders
    .filter((folder) => existsSync(folder))
    .flatMap((folder) => readdirSync(folder).map((name) => join(folder, name)))
    .filter((path) => path.endsWith(".json"));
  const torn = records.filter(() => random.chance(0.4));
  for (const path of torn) {
    truncate(path, random);
    // Sometimes both versions: then the agent has lost its memory.
    if (random.chance(0.2) && existsSync(`${path}.previous`)) truncate(`${path}.previous`, random);
  }
  return torn;
}

function truncate(path: string, random: Seeded): void {
  truncateSync(path, random.below(statSync(path).size));
}
