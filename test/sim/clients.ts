import type { Claim } from "#domain/claim";
import { isFault } from "#domain/faults";
import { imageLifecycle, next } from "#domain/lifecycle";
import { providersOf } from "#domain/providers/providers";
import { providerId, uuidOf } from "#protocol/uuid";
import { createArqs, startBinding, unbindArq } from "#store/arqs";
import { claimsOfInstance, readClaim } from "#store/claims";
import { changeImage } from "#store/images";
import { releaseClaim } from "#store/release";
import type { Store } from "#store/store";
import { assign } from "../../functions/parts/binding.ts";
import { type Cloud, type Door, type Seen, settings } from "./cloud.ts";
import type { History } from "./history.ts";
import { projects, type StockImage } from "./images.ts";
import type { Judge } from "./judge.ts";
import type { ClientOp, Op } from "./ops.ts";
import type { Random, Streams } from "./random.ts";
import type { Operation, Request } from "./request.ts";
import type { Time } from "./time.ts";

/** What clients work with. */
export interface ClientParts {
  readonly time: Time;
  readonly streams: Streams;
  readonly cloud: Cloud;
  readonly judge: Judge;
  readonly history: History;
  readonly images: readonly StockImage[];
  readonly hosts: readonly { readonly id: string; readonly name: string }[];
  readonly log: (what: string) => void;
}

/** A claim that an answer named; `isOver` once an answer said that it has ended. */
interface Known {
  readonly id: string;
  readonly project: string;
  readonly isArq: boolean;
  instance: string | undefined;
  isOver: boolean;
}

/** A request for claims with what it was answered, for those who repeat it. */
interface Asked {
  readonly project: string;
  readonly key: string;
  readonly body: object;
  ids: string | undefined;
}

interface View {
  readonly id: string;
  readonly project: string;
  readonly state: Claim["state"];
  readonly deployable?: string;
  readonly handle?: string;
  readonly fence?: number;
}

const classes = ["CUSTOM_FPGA_INTEL_VF", "CUSTOM_FPGA_XILINX_PF", "CUSTOM_FPGA_INSPUR_VF"];
/** The profile of accelerator requests, made before a run. */
export const profile = {
  id: uuidOf("profile", "pair"),
  name: "pair",
  description: "",
  groups: [{ "resources:CUSTOM_FPGA_INTEL_VF": "1" }, { "resources:CUSTOM_FPGA_XILINX_PF": "1" }],
  createdAt: 0,
} as const;

/** Tenants and operators: what they do follows from each op's own numbers and what they know by then. */
export class Clients {
  readonly #parts: ClientParts;
  readonly #known: Known[] = [];
  readonly #asked: Asked[] = [];
  readonly #acts: Readonly<Record<ClientOp["kind"], (op: Op, random: Random) => Promise<void>>>;
  /** Requests that were sent, for the rate that is printed. */
  requests = 0;

  constructor(parts: ClientParts) {
    this.#parts = parts;
    this.#acts = {
      claim: (op, random) => this.#claim(op, random),
      repeat: (_, random) => this.#repeat(random),
      release: (op, random) => this.#release(op, random),
      get: (_, random) => this.#get(this.#some(random), random),
      list: (_, random) => this.#list(random.of(projects)),
      attach: (op, random) => this.#change(op, random, "attachClaim", target(random)),
      detach: (op, random) => this.#change(op, random, "detachClaim", undefined),
      program: (op, random) => this.#program(op, random),
      renew: (op, random) => this.#change(op, random, "renewClaim", { leaseSeconds: 30 }),
      foreign: (_, random) => this.#foreign(random),
      "arq-create": (op, random) => this.#createArqs(op, random),
      "arq-bind": (_, random) => this.#bindArq(random),
      "arq-unbind": (_, random) => this.#unbindArq(random),
      "arq-delete": (_, random) => this.#deleteArqs(random),
      disable: (op, random) => this.#operate(op, "disableDeployable", this.#deployable(random)),
      enable: (op, random) => this.#operate(op, "enableDeployable", this.#deployable(random)),
      drain: (op, random) => this.#host(op, "drainHost", random.of(parts.hosts).id),
      activate: (op, random) => this.#host(op, "activateHost", random.of(parts.hosts).id),
      takeover: (op, random) => this.#takeOver(op, random),
      retire: (_, random) => this.#retire(random),
    };
  }

  async act(op: ClientOp): Promise<void> {
    await this.#acts[op.kind](op, this.#parts.streams(`op ${op.id}`));
  }

  /** Ends everything that is still held; true when nothing is. */
  async releaseAll(): Promise<boolean> {
    const { judge } = this.#parts;
    for (const { id, project } of judge.claims.values()) {
      judge.mayEnd(id, "release");
      await this.#store(async (store) => void (await releaseClaim(store, id)));
      this.#parts.log(`${project} ends ${id}`);
    }
    return judge.claims.size === 0;
  }

  async enable(deployable: string): Promise<void> {
    const path = { deployable };
    await this.#ask("deployables", "enableDeployable", { project: "ops", roles: "admin", path });
  }

  async activate(host: string): Promise<void> {
    await this.#ask("hosts", "activateHost", { project: "ops", roles: "admin", path: { host } });
  }

  async #ask(door: Door, operation: Operation, request: Request): Promise<Seen> {
    this.requests += 1;
    const seen = await this.#parts.cloud.ask(door, operation, request);
    const code = seen?.statusCode ?? "nothing";
    this.#parts.log(`${request.project} ${operation} ${short(request)} → ${code}`);
    if (seen?.statusCode === 500) throw new Error(`${operation} broke: ${seen.body}`);
    return seen;
  }

  /** Asks again, by the same key, while nobody knows what became of it. */
  async #insist(random: Random, door: Door, operation: Operation, request: Request): Promise<Seen> {
    for (let tries = 0; ; tries += 1) {
      const seen = await this.#ask(door, operation, request);
      if (seen !== undefined && seen.statusCode < 500) return seen;
      if (tries === 3 || random.chance(0.2)) return undefined;
      await this.#parts.time.sleep(100 + random.below(8000));
    }
  }

  async #claim(op: Op, random: Random): Promise<void> {
    const project = random.of(projects);
    const asked: Asked = {
      project,
      key: `key ${op.id}`,
      body: this.#wanted(project, random),
      ids: undefined,
    };
    this.#asked.push(asked);
    await this.#askFor(asked, random);
  }

  #wanted(project: string, random: Random): object {
    const { images } = this.#parts;
    const mine = images.filter(
      ({ row }) => row.visibility !== "private" || row.project === project,
    );
    const what = random.of<() => object>([
      () => ({ resourceClass: random.of(classes) }),
      () => ({ resourceClass: random.of(classes) }),
      () => ({ image: random.of(mine).row.id }),
      () => ({ image: random.of(mine).row.id }),
      () => ({ type: random.of(mine).row.type }),
      () => ({ resourceClass: random.of(classes), count: 1 + random.below(3) }),
    ])();
    return {
      ...what,
      ...(random.chance(0.3) ? { instance: `vm ${random.below(5)}` } : {}),
      ...(random.chance(0.4) ? { leaseSeconds: 30 + random.below(300) } : {}),
    };
  }

  async #repeat(random: Random): Promise<void> {
    if (this.#asked.length === 0) return;
    await this.#askFor(random.of(this.#asked), random);
  }

  async #askFor(asked: Asked, random: Random): Promise<void> {
    const { time, judge, history } = this.#parts;
    const { project, key, body } = asked;
    const from = time.elapsed;
    const request = { project, roles: "member", body, key } as const;
    const seen = await this.#insist(random, "claims", "createClaims", request);
    if (seen === undefined) return;
    if (seen.statusCode >= 300) {
      if (asked.ids === undefined) return;
      judge.fail("once", `a request that was granted is answered ${seen.statusCode}: ${seen.body}`);
      return;
    }
    const { claims } = JSON.parse(seen.body) as { claims: readonly View[] };
    const ids = claims.map(({ id }) => id).join();
    if (asked.ids !== undefined && asked.ids !== ids) {
      judge.fail("once", `a request was answered with other claims than before`);
    }
    const isFirst = asked.ids === undefined;
    asked.ids = ids;
    for (const claim of claims) {
      if (claim.project !== project) judge.fail("tenant", `${project} was given another's claim`);
      if (!isFirst) continue;
      const instance = (body as { instance?: string }).instance;
      this.#known.push({ id: claim.id, project, isArq: false, instance, isOver: false });
      if (claim.state === "BindStarted") history.held(...heldBy(claim, from, time.elapsed));
    }
  }

  #some(random: Random): Known | undefined {
    const open = this.#known.filter(({ isOver }) => !isOver);
    return open.length === 0 ? undefined : random.of(open);
  }

  #native(random: Random): Known | undefined {
    const open = this.#known.filter(({ isOver, isArq }) => !isOver && !isArq);
    return open.length === 0 ? undefined : random.of(open);
  }

  async #release(op: Op, random: Random): Promise<void> {
    const one = this.#native(random);
    if (one === undefined) return;
    const { judge } = this.#parts;
    judge.mayEnd(one.id, "release");
    const seen = await this.#insist(random, "claims", "releaseClaim", {
      project: one.project,
      roles: "member",
      path: { claim: one.id },
      key: `key ${op.id}`,
    });
    if (seen?.statusCode === 200 || seen?.statusCode === 404) this.#over(one);
  }

  #over(one: Known): void {
    one.isOver = true;
    this.#parts.history.over(one.id, this.#parts.time.elapsed);
  }

  async #get(one: Known | undefined, random: Random): Promise<void> {
    if (one === undefined) return;
    const { time, history, judge } = this.#parts;
    const from = time.elapsed;
    const seen = await this.#ask("claims", "getClaim", {
      project: one.project,
      // A reader gets no permit, which would be signed in a thread of its own.
      roles: "reader",
      path: { claim: one.id },
    });
    if (seen?.statusCode === 404) this.#over(one);
    if (seen?.statusCode !== 200) return;
    const claim = JSON.parse(seen.body) as View;
    if (claim.project !== one.project) judge.fail("tenant", `${one.project} sees ${claim.id}`);
    const isHeld = claim.state === "Bound" && !one.isArq;
    if (isHeld && !random.chance(0.1)) history.held(...heldBy(claim, from, time.elapsed));
    if (claim.state === "BindFailed") history.over(one.id, time.elapsed);
  }

  async #list(project: string): Promise<void> {
    const seen = await this.#ask("claims", "listClaims", { project, roles: "reader" });
    if (seen?.statusCode !== 200) return;
    const { items } = JSON.parse(seen.body) as { items: readonly View[] };
    const other = items.find((claim) => claim.project !== project);
    if (other !== undefined) this.#parts.judge.fail("tenant", `${project} lists ${other.id}`);
  }

  /** Another project's claim is not there, whatever is asked of it. */
  async #foreign(random: Random): Promise<void> {
    const one = this.#some(random);
    if (one === undefined) return;
    const project = random.of(projects.filter((other) => other !== one.project));
    const operation = random.of(["getClaim", "releaseClaim", "detachClaim"] as const);
    const seen = await this.#ask("claims", operation, {
      project,
      roles: "member",
      path: { claim: one.id },
    });
    if (seen !== undefined && seen.statusCode < 300) {
      this.#parts.judge.fail("tenant", `${project} may ${operation} of ${one.project}`);
    }
  }

  async #change(
    op: Op,
    random: Random,
    operation: "attachClaim" | "detachClaim" | "renewClaim" | "programClaim",
    body: object | undefined,
  ): Promise<void> {
    const one = this.#native(random);
    if (one === undefined) return;
    await this.#insist(random, "claims", operation, {
      project: one.project,
      roles: "member",
      path: { claim: one.id },
      key: `key ${op.id}`,
      ...(body === undefined ? {} : { body }),
    });
  }

  async #program(op: Op, random: Random): Promise<void> {
    const image = random.of(this.#parts.images).row.id;
    const replug = random.chance(0.5);
    await this.#change(op, random, "programClaim", { image, ...(replug ? { replug } : {}) });
  }

  #deployable(random: Random): string {
    const all = [...this.#parts.judge.deployables.keys()];
    return all.length === 0 ? uuidOf("none") : random.of(all);
  }

  async #operate(
    op: Op,
    operation: "enableDeployable" | "disableDeployable",
    deployable: string,
  ): Promise<void> {
    const key = `key ${op.id}`;
    const path = { deployable };
    await this.#ask("deployables", operation, { project: "ops", roles: "admin", path, key });
  }

  async #host(op: Op, operation: "drainHost" | "activateHost", host: string): Promise<void> {
    const key = `key ${op.id}`;
    await this.#ask("hosts", operation, { project: "ops", roles: "admin", path: { host }, key });
  }

  async #takeOver(op: Op, random: Random): Promise<void> {
    const { judge } = this.#parts;
    const held = [...judge.deployables.values()].flatMap((one) =>
      Object.entries(one.handles).flatMap(([handle, { holder }]) =>
        holder === undefined ? [] : [{ one, handle, claim: holder.claim }],
      ),
    );
    const silent = held.filter(({ one }) => judge.beatOf(one.host)?.state === "offline");
    const from = silent.length > 0 ? silent : held;
    if (from.length === 0) return;
    const { one, handle, claim } = random.of(from);
    // Who holds it by the time of the call is found out there: any holder of it may lose it.
    for (const [name, { holder }] of Object.entries(one.handles)) {
      if (name === handle && holder !== undefined) judge.mayEnd(holder.claim, "takeover");
    }
    judge.mayEnd(claim, "takeover");
    await this.#insist(random, "deployables", "takeOverHandle", {
      project: "ops",
      roles: "admin",
      path: { deployable: one.id },
      body: { handle, reason: "the host is dead" },
      key: `key ${op.id}`,
    });
  }

  async #retire(random: Random): Promise<void> {
    const { row } = random.of(this.#parts.images);
    if (row.visibility === "private") return;
    await this.#store(async (store) => {
      await changeImage(store, row.id, (image) => {
        const state = next(imageLifecycle, image.state, "retire");
        return state === undefined ? image : { ...image, state };
      });
    });
  }

  /** Runs what the OpenStack door does below its own wire; a refusal is an answer. */
  async #store<Answer>(run: (store: Store) => Promise<Answer>): Promise<Answer | undefined> {
    this.requests += 1;
    try {
      return await this.#parts.cloud.invoke(async ({ store }) => await run(store));
    } catch (error) {
      if (!isFault(error) || error.code === "INTERNAL") throw error;
      this.#parts.log(`refused: ${error.code} ${error.message}`);
      return undefined;
    }
  }

  async #createArqs(op: Op, random: Random): Promise<void> {
    const project = random.of(projects);
    const asks = { required: [], forbidden: [] };
    const ids = [uuidOf("arq", String(op.id), "0"), uuidOf("arq", String(op.id), "1")];
    const made = await this.#store((store) =>
      createArqs(store, {
        project,
        user: "nova",
        profile: profile.name,
        ids,
        wanted: classes.slice(0, 2).map((resourceClass, group) => ({ group, resourceClass, asks })),
        defaultQuota: settings.defaultQuota,
      }),
    );
    for (const { id } of made ?? []) {
      this.#known.push({ id, project, isArq: true, instance: undefined, isOver: false });
    }
  }

  #arq(random: Random): Known | undefined {
    const open = this.#known.filter(({ isOver, isArq }) => !isOver && isArq);
    return open.length === 0 ? undefined : random.of(open);
  }

  async #bindArq(random: Random): Promise<void> {
    const one = this.#arq(random);
    const { cloud, hosts, judge } = this.#parts;
    const host = random.of(hosts);
    const there = [...judge.deployables.values()].filter((each) => each.host === host.id);
    const claim = one && judge.claims.get(one.id);
    if (one === undefined || claim === undefined) return;
    const providers = providersOf("pool", host.name, there, []);
    const fitting = providers.filter(({ resourceClass }) => resourceClass === claim.resourceClass);
    if (fitting.length === 0) return;
    one.instance = uuidOf("vm", String(random.below(1000)));
    const order = {
      host: host.id,
      hostName: host.name,
      provider: providerId(random.of(fitting).name),
      instance: one.instance,
    };
    await this.#refusable(async () => {
      await cloud.invoke(async ({ store, binding }) => {
        const known = await readClaim(store, one.id);
        if (known === undefined) return;
        const started = await startBinding(
          store,
          [{ ...order, claim: known }],
          settings.bindDeadlineMs,
        );
        for (const each of started) await assign(binding, each);
      });
    });
  }

  async #unbindArq(random: Random): Promise<void> {
    const one = this.#arq(random);
    if (one === undefined) return;
    this.#parts.judge.mayEnd(one.id, "unbind");
    await this.#store(async (store) => {
      const claim = await readClaim(store, one.id);
      if (claim !== undefined) await unbindArq(store, claim);
    });
  }

  async #deleteArqs(random: Random): Promise<void> {
    const one = this.#arq(random);
    if (one === undefined) return;
    const { instance } = one;
    if (instance === undefined) {
      this.#parts.judge.mayEnd(one.id, "release");
      await this.#store((store) => releaseClaim(store, one.id));
      return;
    }
    await this.#store(async (store) => {
      for (const claim of await claimsOfInstance(store, instance)) {
        this.#parts.judge.mayEnd(claim.id, "release");
        await releaseClaim(store, claim);
      }
    });
  }

  async #refusable(run: () => Promise<void>): Promise<void> {
    this.requests += 1;
    try {
      await run();
    } catch (error) {
      if (!isFault(error) || error.code === "INTERNAL") throw error;
      this.#parts.log(`refused: ${error.code} ${error.message}`);
    }
  }
}

function target(random: Random): object {
  return { hypervisor: "libvirt", domain: `vm-${random.below(3)}` };
}

function heldBy(claim: View, from: number, to: number): Parameters<History["held"]> {
  const { deployable = "", handle = "", fence = -1 } = claim;
  return [{ handle: `${deployable}/${handle}`, claim: claim.id, fence }, from, to];
}

function short({ path, body, key }: Request): string {
  return JSON.stringify({ ...path, ...(key === undefined ? {} : { key }), ...(body && { body }) });
}
