import type { KeyObject } from "node:crypto";
import type { CardMemory } from "../../../agent/drivers/card-family.ts";
import type { CardDescription } from "../../../agent/host/memory-kernel/cards.ts";
import type { MemoryKernel } from "../../../agent/host/memory-kernel/kernel.ts";
import type { SimBucket } from "../bucket.ts";
import type { Cards } from "../cards.ts";
import type { Disk } from "../disk.ts";
import type { Faults } from "../faults.ts";
import type { Gateway } from "../gateway.ts";
import type { Records } from "../judge/cards.ts";
import type { Judge } from "../judge.ts";
import type { Plant } from "../plants.ts";
import type { Random } from "../random.ts";
import type { Shelf } from "../shelf.ts";
import type { Time } from "../time.ts";

/** What a host is made of. */
export interface HostParts {
  readonly name: string;
  readonly time: Time;
  readonly faults: Faults;
  readonly random: Random;
  readonly gateway: Gateway;
  readonly judge: Judge;
  readonly shelf: Shelf;
  readonly bucket: SimBucket;
  readonly cards: readonly CardDescription[];
  readonly plant?: Plant | undefined;
  readonly log: (what: string) => void;
}

/** What of a host outlasts its agents. */
export interface Machine {
  readonly id: string;
  readonly key: KeyObject;
  /** PEM of the key's public half. */
  readonly publicKey: string;
  readonly kernel: MemoryKernel;
  readonly cards: Cards;
  readonly disk: Disk;
  /** What was last read of cards: a file that the next agent finds. */
  readonly memory: CardMemory;
  /** Digests of the images on disk. */
  readonly kept: Set<string>;
  readonly parts: HostParts;
}

/** The folder of the agent's records. */
export const stateDir = "/var/lib/gatehouse";

/** A kernel that is not done with a write, program or scrub after this time is stuck, ms. */
export const deadlines = { write: 20_000, program: 30_000, scrub: 30_000 } as const;

/** What an agent that starts now would find of a deployable. */
export function recordsOf({ disk }: Machine, deployable: string): Records {
  const at = (kind: string) => disk.recordAt(`${stateDir}/${kind}/${deployable}.json`);
  return { marks: at("marks") as Records["marks"], journal: at("journal") as Records["journal"] };
}
