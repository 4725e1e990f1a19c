import { Fault } from "#domain/faults";
import type { Desired, Phase } from "#protocol/wire/messages";
import type { WireError } from "#protocol/wire/shapes";
import type { Observation, Place, VerifiedImage } from "../drivers/driver.ts";
import { emptyJournal, type Journal, underBoot } from "../memory/journal.ts";
import {
  type DeployableMarks,
  type Floor,
  higherFences,
  lifted,
  noMarks,
} from "../memory/marks.ts";
import type { Records } from "../memory/store.ts";
import { staleness } from "./intake.ts";
import type { Rest } from "./rest.ts";
import { triedWork } from "./tries.ts";

/** All the agent holds in memory about one deployable; what must last is written before it is used. */
export class Site {
  readonly id: string;
  readonly bootId: string;
  readonly rest: Rest;
  readonly #records: Records;
  #marks: DeployableMarks;
  #journal: Journal;
  #saving: Promise<unknown> = Promise.resolve();
  #floor: Floor | undefined;
  /** Marks were read whole, or the cloud lifted them: without that nothing is touched (design §6). */
  trusted: boolean;
  place: Place | undefined;
  observation: Observation | undefined;
  /** The newest wish heard, and the one absorbed into the marks. */
  newest: Desired | undefined;
  wish: Desired | undefined;
  verified: VerifiedImage | undefined;
  phase: Phase = "idle";
  percent: number | undefined;
  /** Why the agent does not go on, for the report. */
  trouble: WireError | undefined;
  refused: WireError | undefined;
  notice: WireError | undefined;
  /** A repair was tried since the card was last well. */
  repaired = false;
  /** Aborted when the newest wish makes the running step pointless. */
  running: AbortController | undefined;

  constructor(id: string, bootId: string, records: Records, rest: Rest) {
    this.id = id;
    this.bootId = bootId;
    this.rest = rest;
    this.#records = records;
    this.trusted = records.marks.survival === "current";
    const journal = records.journal.value ?? emptyJournal(bootId);
    this.#marks = cutOffByReboot(records.marks.value ?? noMarks, journal, bootId);
    this.#journal = underBoot(journal, bootId);
    if (records.journal.survival === "damaged" || records.journal.survival === "previous") {
      const message = `the journal is damaged (${records.journal.survival})`;
      this.notice = { code: "JOURNAL_UNREADABLE", message };
    }
  }

  get marks(): DeployableMarks {
    return this.#marks;
  }

  get journal(): Journal {
    return this.#journal;
  }

  /** Takes a wish in, or says why not. It is acted on when the next step is chosen. */
  offer(desired: Desired): void {
    const stale = staleness(desired, this.#marks, this.newest);
    if (stale !== undefined) this.refuse(new Fault("STALE_FENCE", stale));
    this.refused = undefined;
    if (this.newest?.imageGeneration !== desired.imageGeneration) this.running?.abort();
    this.newest = desired;
  }

  /** Tells the cloud why a wish was not taken, in the next report; throws the fault. */
  refuse(fault: Fault): never {
    this.refused = { code: fault.code, message: fault.message };
    throw fault;
  }

  /** Fences to report: the cloud's own count too, even while it cannot be written. */
  get fences(): DeployableMarks["fences"] {
    return higherFences(this.#marks.fences, this.#floor?.fences ?? {});
  }

  /** An agent that lost its marks tells nothing before it was lifted: counters would seem to fall. */
  get mayTell(): boolean {
    return this.trusted || this.#floor !== undefined;
  }

  /** Remembers what the cloud knows; {@link applyFloor} writes it. */
  lift(floor: Floor): void {
    this.#floor = floor;
  }

  /** Writes a pending floor; from then on the marks can be trusted. */
  async applyFloor(): Promise<void> {
    const floor = this.#floor;
    if (floor === undefined) return;
    await this.changeMarks((marks) => lifted(marks, floor));
    if (this.#floor === floor) this.#floor = undefined;
    this.trusted = true;
  }

  /** Changes the marks on disk, then in memory; a rejected write changes neither. */
  changeMarks(change: (marks: DeployableMarks) => DeployableMarks): Promise<void> {
    return this.#inTurn(async () => {
      const next = change(this.#marks);
      if (JSON.stringify(next) === JSON.stringify(this.#marks)) return;
      await this.#records.saveMarks(next);
      this.#marks = next;
    });
  }

  /** Changes the journal on disk, then in memory; a rejected write changes neither. */
  changeJournal(change: (journal: Journal) => Journal): Promise<void> {
    return this.#inTurn(async () => {
      const next = change(this.#journal);
      if (next === this.#journal) return;
      await this.#records.saveJournal(next);
      this.#journal = next;
    });
  }

  /** Resolves when every write that was asked for is over. */
  async saved(): Promise<void> {
    await this.#saving;
  }

  #inTurn(write: () => Promise<void>): Promise<void> {
    const turn = this.#saving.then(write);
    this.#saving = turn.catch(() => undefined);
    return turn;
  }
}

/**
 * An operation cut off by a reboot counts as a failed try: it may have been what ended the host, and
 * a host must not be rebooted for ever by one image.
 */
function cutOffByReboot(
  marks: DeployableMarks,
  { operation }: Journal,
  bootId: string,
): DeployableMarks {
  if (operation === undefined || operation.bootId === bootId) return marks;
  if (operation.id === marks.lastOperation) return marks;
  const { work } = marks;
  const message = `the host restarted during a ${operation.kind}`;
  const counted =
    work !== undefined && work.generation === operation.generation && work.outcome === undefined;
  return {
    ...marks,
    lastOperation: operation.id,
    ...(counted ? { work: triedWork(work, { code: "PROGRAM_FAILED", message }) } : {}),
  };
}
