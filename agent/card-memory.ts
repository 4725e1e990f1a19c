import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { CardMemory } from "./drivers/card-family.ts";
import type { Log } from "./runtime.ts";

const fileName = "cards.json";

/**
 * What was last read of cards, in a file that the next agent reads. A file that is lost or damaged
 * costs the sight of cards that are in guests just then, and the VFs of a card whose change was cut
 * off until its host reboots, so it is only replaced whole.
 */
export function cardMemory(stateDir: string, log: Log): CardMemory {
  const path = join(stateDir, fileName);
  const facts = readFacts(path);
  let isKept = true;
  return {
    recall: (cardId) => facts[cardId],
    remember(cardId, what) {
      if (isKept && JSON.stringify(facts[cardId]) === JSON.stringify(what)) return true;
      facts[cardId] = what;
      try {
        writeFileSync(`${path}.new`, JSON.stringify(facts), { mode: 0o600 });
        renameSync(`${path}.new`, path);
        isKept = true;
      } catch (error) {
        log("card-memory-failed", { error: String(error) });
        isKept = false;
      }
      return isKept;
    },
  };
}

function readFacts(path: string): Record<string, unknown> {
  try {
    const facts: unknown = JSON.parse(readFileSync(path, "utf8"));
    return typeof facts === "object" && facts !== null ? { ...facts } : {};
  } catch {
    return {};
  }
}
