import type { Deployable } from "#domain/deployable";
import { heldHandles, isPending } from "#domain/deployable";
import type { ActiveImage } from "#domain/image";
import type { Report } from "#domain/report";
import { uuidOf } from "#protocol/uuid";
import { deployableRow, readDeployable } from "#store/deployables";
import type { GrantRequest } from "#store/grant";
import { beatRow } from "#store/hosts";
import { addImage } from "#store/images";
import { memoryTable } from "#store/memory-table";
import { openQuota } from "#store/quotas";
import { releaseClaim } from "#store/release";
import { recordReport } from "#store/reports";
import type { Store } from "#store/store";
import { benchClass, benchRegion, seededDeployable } from "./fleet.ts";
import type { VirtualClock } from "./virtual-clock.ts";

/** Ms that a host's card takes: for one region, one after the other. */
const programMs = 3_000;
const scrubMs = 2_000;

/** Where a claim went: the row as granted. */
export type Grant = (store: Store, request: GrantRequest) => Promise<Deployable | undefined>;

/** What a run came to. */
export interface Run {
  /** From a claim's arrival until it was bound, ms. */
  readonly waits: readonly number[];
  /** Claims for which a card was programmed while they waited. */
  readonly programs: number;
  /** Images that were loaded again behind a scrub, while nobody waited. */
  readonly reloads: number;
  /** Share of the deployables that somebody held or that were being cleaned. */
  readonly busy: number;
}

interface Waiting {
  readonly number: number;
  readonly image: ActiveImage;
  readonly holdMs: number;
  readonly since: number;
}

const name = (what: string, index: number) => uuidOf("choice", what, String(index));

/** An image of this rank of popularity. */
export function imageOf(rank: number): ActiveImage {
  const id = name("image", rank);
  const sha256 = id.replaceAll("-", "").repeat(2);
  return {
    id,
    project: "p",
    name: `image-${rank}`,
    vendor: "intel",
    type: "crypto",
    visibility: "public",
    state: "active",
    objectKey: id,
    size: 1,
    sha256,
    md5: sha256.slice(32),
    format: "gbs",
    interfaceId: benchRegion,
    functionId: name("function", rank),
    verifiedKey: `verified/${sha256}`,
    createdAt: 0,
    updatedAt: 0,
    revision: 0,
  };
}

/** Hosts of four regions each over the real store; the agents' part takes its time. */
export class ChoiceSite {
  readonly #store: Store;
  readonly #time: VirtualClock;
  readonly #grant: Grant;
  readonly #line: Waiting[] = [];
  readonly #cards = new Map<string, Promise<void>>();
  #seq = 0;
  #granting = false;
  #busy = 0;
  #busyMs = 0;
  #busySince = 0;
  /** Claims before this number warm the fleet up and are not counted. */
  #countFrom = 0;
  #countedAt = 0;
  #programs = 0;
  #reloads = 0;
  readonly #waits: number[] = [];

  constructor(time: VirtualClock, random: () => number, grant: Grant) {
    this.#time = time;
    this.#grant = grant;
    const sleep = async (ms: number) => await time.sleep(ms);
    this.#store = { table: memoryTable(), now: time.now, random, sleep };
  }

  async build(hosts: number, regions: number, images: readonly ActiveImage[]): Promise<void> {
    const { table } = this.#store;
    await openQuota(this.#store, { project: "p", resourceClass: benchClass }, 1_000_000);
    for (const image of images) await table.write([addImage(image)]);
    for (let index = 0; index < hosts; index += 1) {
      const host = name("host", index);
      // A year ahead: nobody pings here.
      const beat = beatRow({ host, state: "online", epoch: 1, seenAt: 365 * 86_400_000 });
      await table.write([{ kind: "put", item: beat }]);
      for (let slot = 0; slot < regions; slot += 1) {
        const item = deployableRow(seededDeployable(host, slot, 0));
        await table.write([{ kind: "put", item }]);
      }
    }
  }

  /** Counts from this claim on. */
  countFrom(number: number): void {
    this.#countFrom = number;
  }

  arrive(number: number, image: ActiveImage, holdMs: number): void {
    if (number === this.#countFrom) this.#startCounting();
    this.#line.push({ number, image, holdMs, since: this.#time.now() });
    void this.#serve();
  }

  result(deployables: number): Run {
    this.#occupy(0);
    const ms = this.#time.now() - this.#countedAt;
    return {
      waits: this.#waits,
      programs: this.#programs,
      reloads: this.#reloads,
      busy: this.#busyMs / ms / deployables,
    };
  }

  #startCounting(): void {
    this.#occupy(0);
    this.#busyMs = 0;
    this.#countedAt = this.#time.now();
  }

  #occupy(change: number): void {
    const now = this.#time.now();
    this.#busyMs += this.#busy * (now - this.#busySince);
    this.#busySince = now;
    this.#busy += change;
  }

  /** First come, first served, until nothing is on offer. */
  async #serve(): Promise<void> {
    if (this.#granting) return;
    this.#granting = true;
    for (let first = this.#line[0]; first !== undefined; first = this.#line[0]) {
      const granted = await this.#grant(this.#store, requestOf(first));
      if (granted === undefined) break;
      this.#line.shift();
      this.#occupy(1);
      if (isPending(granted) && this.#isCounted(first)) this.#programs += 1;
      this.#work(granted, () => this.#hold(first));
    }
    this.#granting = false;
  }

  #isCounted({ number }: Waiting): boolean {
    return number >= this.#countFrom;
  }

  #hold(claim: Waiting): void {
    if (this.#isCounted(claim)) this.#waits.push(this.#time.now() - claim.since);
    this.#time.at(this.#time.now() + claim.holdMs, () => void this.#release(claim));
  }

  async #release(claim: Waiting): Promise<void> {
    const { deployable } = await releaseClaim(this.#store, claimIdOf(claim.number));
    if (deployable === undefined) throw new Error("a claim here has a card");
    if (this.#isCounted(claim) && deployable.wish.image !== undefined) this.#reloads += 1;
    this.#work(deployable, () => {
      this.#occupy(-1);
      void this.#serve();
    });
  }

  /** What the agent does for a wish, behind what its card is at; then `done`. */
  #work(wished: Deployable, done: () => void): void {
    const before = this.#cards.get(wished.host);
    const work = async (): Promise<void> => {
      await before;
      if (isPending(wished)) {
        if (wished.wish.scrub !== undefined) await this.#time.sleep(scrubMs);
        if (wished.wish.image !== undefined) await this.#time.sleep(programMs);
      }
      await this.#report(wished);
      done();
    };
    this.#cards.set(wished.host, work());
  }

  async #report({ host, id }: Deployable): Promise<void> {
    const one = await readDeployable(this.#store, host, id);
    if (one === undefined) throw new Error("a card here stays");
    this.#seq += 1;
    const report = reportOf(one, this.#seq);
    await recordReport(this.#store, { host, deployable: id, report });
  }
}

/** The wish is done: loaded, clean while nobody holds it. */
function reportOf(one: Deployable, seq: number): Report {
  const { image } = one.wish;
  const wished =
    image === undefined
      ? { functionId: null }
      : { functionId: image.functionId, imageId: image.id, sha256: image.sha256 };
  return {
    epoch: 1,
    seq,
    bootId: name("boot", 0),
    imageGeneration: one.imageGeneration,
    revision: one.revision,
    phase: "ready",
    loaded: isPending(one) ? wished : one.loaded,
    health: { state: "ok" },
    clean: heldHandles(one).length === 0,
    handles: Object.fromEntries(
      Object.entries(one.handles).map(([handle, { fence }]) => [
        handle,
        { fence, state: "unplugged" as const, clean: true },
      ]),
    ),
  };
}

const claimIdOf = (number: number) => name("claim", number);

function requestOf({ number, image }: Waiting): GrantRequest {
  const need = {
    project: "p",
    resourceClasses: [benchClass],
    required: [],
    forbidden: [],
    image,
  };
  return {
    project: "p",
    user: "u",
    claimIds: [claimIdOf(number)],
    groups: [{ need, count: 1, image }],
    once: { id: String(number), body: "" },
    bindDeadlineMs: 86_400_000,
    defaultQuota: 0,
  };
}
