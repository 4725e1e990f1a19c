import type { Deployable } from "#domain/deployable";
import { createHost } from "#store/hosts";
import { addImage } from "#store/images";
import { createProfile } from "#store/named";
import { valueOf } from "#store/rows";
import type { Store } from "#store/store";
import { type CardDescription, stockCards } from "../../agent/host/memory-kernel/cards.ts";
import { SimBucket } from "./bucket.ts";
import { profile } from "./clients/profile.ts";
import { Clients } from "./clients.ts";
import { Cloud } from "./cloud.ts";
import { type FaultKind, Faults, faultKinds } from "./faults.ts";
import { Gateway } from "./gateway.ts";
import { History } from "./history.ts";
import { Host } from "./host.ts";
import type { StockImage } from "./images.ts";
import { Judge } from "./judge.ts";
import { befall, isMishap } from "./mishaps.ts";
import type { ClientOp, Op } from "./ops.ts";
import { type Plant, plants } from "./plants.ts";
import { hashOf, type Random, type Streams, streamsOf } from "./random.ts";
import { Shelf } from "./shelf.ts";
import { SimTable } from "./table.ts";
import { epoch, Time } from "./time.ts";

/** What a site is made of; the same always gives the same. */
export interface SiteOptions {
  readonly seed: number;
  readonly hosts: number;
  readonly images: readonly StockImage[];
  /** Kinds that may be on; the seed turns about half of them on. */
  readonly faults?: readonly FaultKind[] | undefined;
  /** A defect to be planted, by its name. */
  readonly plant?: string | undefined;
  readonly log?: ((line: string) => void) | undefined;
}

const sweepMs = 60_000;
const takeUpMs = 300_000;
const supervisorMs = 4000;

/** One whole system under one seed: cloud, table, network, hosts, and who uses them. */
export class Site {
  readonly time: Time;
  readonly faults: Faults;
  readonly judge: Judge;
  readonly history = new History();
  readonly table: SimTable;
  readonly bucket: SimBucket;
  readonly shelf: Shelf;
  readonly hosts: readonly Host[];
  readonly clients: Clients;
  readonly streams: Streams;
  readonly log: (what: string) => void;
  /** More about it for whoever watches a replay; it is no part of the digest. */
  readonly tell: (what: () => string) => void;
  /** A defect that is no violation: something threw what nobody expects. */
  broken: Error | undefined;
  readonly #cloud: Cloud;
  readonly #supervisor: Random;
  #hash = 0x811c9dc5;

  constructor({ seed, hosts, images, faults, plant: name, log }: SiteOptions) {
    this.streams = streamsOf(seed);
    this.#supervisor = this.streams("supervisor");
    this.time = new Time(this.streams("ties"));
    this.faults = new Faults(this.streams("faults"), faults ?? faultKinds);
    this.log = (what) => {
      this.#hash = hashOf(`${this.time.elapsed} ${what}`, this.#hash);
      log?.(`${(this.time.elapsed / 1000).toFixed(3).padStart(9)} ${what}`);
    };
    this.tell = (what) => log?.(`${" ".repeat(9)}   ${what()}`);
    const plant = plantOf(name);
    const { time, streams } = this;
    this.shelf = new Shelf(images);
    this.bucket = new SimBucket({
      time,
      faults: this.faults,
      random: this.streams("bucket"),
      changed: (object) => this.#cloud.uploads.changed(object),
    });
    const { shelf, bucket } = this;
    this.judge = new Judge({
      time,
      shelf,
      cardsOf: (id) => this.hosts.find((host) => host.id === id)?.cards,
      verified: (sha256) => bucket.verified(sha256),
    });
    this.table = this.#newTable(plant);
    const { judge, faults: mishaps, tell } = this;
    const things = { shelf, bucket, plant, streams };
    const shared = { time, faults: mishaps, judge, log: this.log, tell, ...things };
    this.#cloud = new Cloud({
      ...shared,
      table: this.table,
      random: this.streams("cloud"),
      gateway: () => gateway,
      defect: (error) => this.#defect(error),
    });
    const gateway = new Gateway({
      ...shared,
      random: this.streams("network"),
      cloud: this.#cloud,
    });
    this.hosts = Array.from({ length: hosts }, (_, index) => {
      const name = `node-${index + 1}`;
      const random = this.streams(name);
      const cards = cardsOf(random);
      return new Host({ ...shared, name, random, gateway, cards });
    });
    this.clients = new Clients({
      ...shared,
      history: this.history,
      cloud: this.#cloud,
      hosts: this.hosts,
    });
  }

  /** A digest of everything that has happened. */
  get hash(): string {
    return this.#hash.toString(16).padStart(8, "0");
  }

  /** Writes the rows that are there before the first agent speaks. */
  async prepare(): Promise<void> {
    const store: Store = {
      table: this.table.plain,
      now: this.time.wall,
      random: () => 0,
      sleep: async () => undefined,
    };
    for (const { row, bytes } of this.shelf.all) {
      this.bucket.pinned(row.sha256, bytes);
      await store.table.write([addImage(row)]);
    }
    await createProfile(store, profile);
    for (const { id, name, publicKey } of this.hosts) {
      const times = { createdAt: epoch, updatedAt: epoch, revision: 0 };
      const known = { id, name, publicKey, machine: "machine", revoked: false, ...times };
      await createHost(store, { ...known, state: "joined" }, []);
    }
  }

  /** Starts the agents and what comes again and again. */
  begin(): void {
    const sweep = () => {
      void this.#cloud.sweep();
      this.time.after(sweepMs, sweep);
    };
    const takeUp = () => {
      void this.#cloud.takeUp();
      this.time.after(takeUpMs, takeUp);
    };
    const supervise = () => {
      for (const host of this.hosts) {
        if (host.isUp) continue;
        host.kill();
        if (this.#supervisor.chance(0.3)) host.start();
      }
      this.time.after(supervisorMs, supervise);
    };
    for (const host of this.hosts) host.start();
    this.time.after(sweepMs / 2, sweep);
    this.time.after(takeUpMs / 2, takeUp);
    this.time.after(supervisorMs, supervise);
  }

  /** What an operator does about events that no function came to the end of. */
  redrive(): void {
    this.#cloud.uploads.redrive();
  }

  /** Everything that clients do and that goes wrong. */
  schedule(ops: readonly Op[]): void {
    for (const op of ops) {
      this.time.after(op.at, () => {
        const done = isMishap(op) ? befall(op, this) : this.clients.act(op as ClientOp);
        done.catch((error: unknown) => this.#defect(error));
      });
    }
  }

  /** Lets time pass, until something is wrong. Rejects with what nobody expects. */
  async pass(ms: number): Promise<void> {
    let isThere = false;
    this.time.after(ms, () => {
      isThere = true;
    });
    await this.time.run(() => isThere || this.isOver);
    if (this.broken !== undefined) throw this.broken;
  }

  /** Waits for something that takes simulated time. */
  async done<Value>(work: Promise<Value>): Promise<Value | undefined> {
    let answer: { readonly value: Value } | undefined;
    work.then(
      (value) => {
        answer = { value };
      },
      (error: unknown) => this.#defect(error),
    );
    await this.time.run(() => answer !== undefined || this.isOver);
    if (this.broken !== undefined) throw this.broken;
    return answer?.value;
  }

  get isOver(): boolean {
    return this.judge.violation !== undefined || this.broken !== undefined;
  }

  #defect(error: unknown): void {
    this.broken ??= error instanceof Error ? error : new Error(String(error));
  }

  #newTable(plant: Plant | undefined): SimTable {
    const { time, faults, judge, log } = this;
    return new SimTable({
      time,
      faults,
      random: this.streams("table"),
      plant,
      known: (id) => judge.deployables.get(id),
      committed: (changes) => {
        for (const { key, after } of changes) {
          const state = after?.["revision"] ?? after?.["state"] ?? "";
          log(`table ${key.pk} ${key.sk} ${typeof state === "object" ? "" : state}`);
          if (after?.["type"] === "deployable") this.tell(() => told(valueOf<Deployable>(after)));
        }
        judge.committed(changes);
        this.#cloud.changed(changes);
      },
    });
  }
}

/** One line about a deployable. */
function told(one: Deployable): string {
  const { imageGeneration, outcome, wish, clean, present, hostOnline, enabled, health, phase } =
    one;
  const handles = Object.entries(one.handles).map(([name, { state, fence, holder, plugged }]) => {
    const who = holder === undefined ? "" : ` ${holder.project} ${holder.claim.slice(0, 8)}`;
    return `${name} ${state} ${fence}${who}${holder?.binding === true ? " binding" : ""}${plugged ? " plugged" : ""}`;
  });
  const facts = { present, hostOnline, enabled, clean };
  const not = Object.entries(facts).flatMap(([name, isSo]) => (isSo ? [] : [`not ${name}`]));
  const what = [wish.scrub, wish.image?.id.slice(0, 8)].filter((part) => part !== undefined);
  const done = `generation ${imageGeneration}, ${outcome.generation} ${outcome.result}`;
  const heard = `heard ${one.reported.epoch}/${one.reported.seq}`;
  return [done, `wish ${what.join("+")}`, phase, health.state, ...not, ...handles, heard].join(
    "; ",
  );
}

function plantOf(name: string | undefined): Plant | undefined {
  if (name === undefined) return undefined;
  const planted = plants[name];
  if (planted === undefined) throw new Error(`no plant ${name}`);
  return planted.plant();
}

/** Hosts differ: some have Intel cards of two regions, some AMD cards, some one with four VFs. */
function cardsOf(random: Random): readonly CardDescription[] {
  return stockCards(
    random.of([
      { alveo: 2 },
      { alveo: 1, sriov: 1 },
      { dfl: 1, alveo: 1 },
      { dfl: 1, sriov: 1 },
      { dfl: 1, alveo: 1, sriov: 1 },
    ]),
  );
}
