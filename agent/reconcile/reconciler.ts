import { Fault } from "#domain/faults";
import type { Card } from "#protocol/wire/card";
import type { Desired, Marks, Welcome } from "#protocol/wire/messages";
import type { Receipt } from "#protocol/wire/receipt";
import type { Discovery, Place } from "../drivers/driver.ts";
import type { Floor } from "../memory/marks.ts";
import {
  knownDeployables,
  openRecords,
  prepareFolder,
  type RecordFolder,
} from "../memory/store.ts";
import type { TrustedClock } from "../trusted-clock.ts";
import { CardLoops } from "./card-loops.ts";
import { type CardAnswer, CardOperations } from "./card-operations.ts";
import type { Equipment } from "./ports.ts";
import { Rest } from "./rest.ts";
import { Site } from "./site.ts";
import { type Publish, turn } from "./turn.ts";

/** What a reconciler is made of. */
export interface ReconcilerOptions {
  readonly bootId: string;
  readonly records: RecordFolder;
  readonly equipment: Equipment;
  /** Hears what is, after every change; the same body may come twice. */
  readonly publish: Publish;
  /** Looks for cards again and answers with {@link Reconciler.discovered}. */
  readonly rescan: () => Promise<void>;
  readonly trustedClock: TrustedClock;
  /** Hears how operations on cards stand. */
  readonly answer: (answer: CardAnswer) => void;
}

type Known = Pick<Welcome, "floors" | "chainHeads">;

/** Brings every deployable of this host to its wish, and tells what is (design §7). */
export class Reconciler {
  readonly #options: ReconcilerOptions;
  readonly #sites = new Map<string, Site>();
  readonly #opening = new Map<string, Promise<Site>>();
  readonly #loops: CardLoops;
  readonly #operations: CardOperations;
  #known: Known | undefined;
  #draining = false;

  constructor(options: ReconcilerOptions) {
    this.#options = options;
    this.#loops = new CardLoops(
      (site) =>
        turn(site, {
          equipment: options.equipment,
          publish: options.publish,
          wake: () => this.#loops.wake(site),
          rescan: options.rescan,
        }),
      options.equipment.runtime,
    );
    const sites = () => this.#sites.values();
    this.#operations = new CardOperations({ ...options, loops: this.#loops, sites });
  }

  /** Reads what earlier runs kept. */
  async open(): Promise<void> {
    await prepareFolder(this.#options.records);
    const ids = await knownDeployables(this.#options.records);
    await Promise.all(ids.map((id) => this.#site(id)));
  }

  /** Takes a scan in: new places, renumbered addresses, cards that are gone. */
  async discovered({ devices }: Discovery): Promise<void> {
    const places = new Map<string, Place>();
    for (const device of devices) {
      for (const deployable of device.deployables) {
        places.set(deployable.id, { device, deployable });
      }
    }
    for (const [id, place] of places) this.#place(await this.#site(id), place);
    for (const site of this.#sites.values()) {
      if (!places.has(site.id)) this.#place(site, undefined);
    }
  }

  /** Lifts all counters to what the cloud remembers; before that untrusted ones stay untouched. */
  welcome(known: Known): void {
    this.#known = known;
    this.#draining = false;
    for (const site of this.#sites.values()) {
      site.lift(this.#floor(site.id));
      this.#loops.wake(site);
    }
  }

  /** Takes a wish in. Throws STALE_FENCE for an old one, WRONG_STATE for new claims while draining. */
  async desire(desired: Desired): Promise<void> {
    const site = await this.#site(desired.deployable);
    try {
      if (this.#draining && bringsClaim(desired, site.newest)) {
        site.refuse(new Fault("WRONG_STATE", "the host is being drained"));
      }
      site.offer(desired);
    } finally {
      this.#loops.wake(site);
    }
  }

  /** Takes an operation on a whole card in, or tells again how it stands. */
  operate(card: Card): void {
    this.#operations.offer(card);
  }

  /** From now on no claim that is not held already is served, until the next welcome. */
  drain(): void {
    this.#draining = true;
  }

  /** Revision of the wish each deployable works by; 0 before any. */
  digest(): Readonly<Record<string, number>> {
    return Object.fromEntries(
      [...this.#sites.values()].map(({ id, newest }) => [id, newest?.revision ?? 0]),
    );
  }

  /** The agent's own counters; undefined when it has none it could trust. */
  marks(): Marks | undefined {
    const whole = [...this.#sites.values()].filter(({ trusted }) => trusted);
    if (whole.length === 0) return undefined;
    return Object.fromEntries(
      whole.map(({ id, marks: { imageGeneration, fences } }) => [id, { imageGeneration, fences }]),
    );
  }

  /** The oldest receipt that is not acknowledged. */
  receiptOf(deployable: string): Receipt | undefined {
    return this.#sites.get(deployable)?.marks.receipts[0];
  }

  /** The cloud has stored this receipt: it need not be kept. */
  async acknowledged(deployable: string, receiptNumber: number): Promise<void> {
    await this.#sites.get(deployable)?.changeMarks((marks) => ({
      ...marks,
      receipts: marks.receipts.filter(({ body }) => body.number !== receiptNumber),
    }));
  }

  /** What is held in memory about a deployable, for the local API. UNKNOWN_DEPLOYABLE. */
  site(deployable: string): Site {
    const site = this.#sites.get(deployable);
    if (site === undefined) throw new Fault("UNKNOWN_DEPLOYABLE", undefined, { deployable });
    return site;
  }

  wake(site: Site): void {
    this.#loops.wake(site);
  }

  /** Ms the longest running turn has taken. */
  longestTurn(): number {
    return this.#loops.longestTurn();
  }

  /** Ends after the steps that run now. */
  stop(): Promise<void> {
    return this.#loops.stop();
  }

  /** Resolves when everything that was to be written is on disk. */
  async saved(): Promise<void> {
    for (const site of this.#sites.values()) await site.saved();
  }

  #place(site: Site, place: Place | undefined): void {
    if (JSON.stringify(site.place) === JSON.stringify(place) && !isOutdated(site)) return;
    site.place = place;
    this.#loops.wake(site);
  }

  #floor(id: string): Floor {
    const head = this.#known?.chainHeads[id];
    const floor = this.#known?.floors[id] ?? { imageGeneration: 0, fences: {} };
    return { ...floor, ...(head === undefined ? {} : { head }) };
  }

  #site(id: string): Promise<Site> {
    const opening = this.#opening.get(id) ?? this.#open(id);
    this.#opening.set(id, opening);
    return opening;
  }

  async #open(id: string): Promise<Site> {
    const { equipment, bootId } = this.#options;
    const { clock, log } = equipment.runtime;
    const records = await openRecords(this.#options.records, id);
    const site = new Site(id, bootId, records, new Rest(clock.monotonic));
    if (site.notice !== undefined) log("journal-damaged", { deployable: id, ...site.notice });
    if (this.#known !== undefined) site.lift(this.#floor(id));
    this.#sites.set(id, site);
    return site;
  }
}

/** The card has changed since it was looked at, and back to what the last scan saw. */
function isOutdated({ place, observation }: Site): boolean {
  if (place === undefined || observation === undefined) return false;
  const { loaded, health, opaque } = place.deployable;
  if (opaque === true) return false;
  return (
    loaded.functionId !== observation.loaded.functionId || health.state !== observation.health.state
  );
}

function bringsClaim(desired: Desired, held: Desired | undefined): boolean {
  const claims = Object.values(held?.handles ?? {}).map(({ claim }) => claim?.id);
  return Object.values(desired.handles).some(
    ({ claim }) => claim !== undefined && !claims.includes(claim.id),
  );
}
