import { expect } from "vitest";
import { checkOperable, giveBack, withhold } from "#domain/card";
import {
  type Deployable,
  freeHandles,
  heldHandles,
  isOfferable,
  type WantedImage,
} from "#domain/deployable";
import { isFault } from "#domain/faults";
import { applyReport, type Decision, type Report } from "#domain/report";
import { abandon, attach, detach, grant, lift, mark, program, release } from "#domain/transitions";
import { type Agent, describe, greet, hear, reboot, work } from "./agent-model.ts";
import { crypto, gzip } from "./builders.ts";

export interface Claim {
  readonly handle: string;
  readonly fence: number;
  readonly image: WantedImage | undefined;
  state: "BindStarted" | "Bound" | "BindFailed";
}

/** Cloud row, claim rows and agent of one card, with every report that was ever sent. */
export interface World {
  cloud: Deployable;
  readonly agent: Agent;
  readonly sent: Report[];
  readonly claims: Map<string, Claim>;
  /** The newest report that was delivered. */
  heard: Report | undefined;
  boots: number;
  made: number;
}

export type Script = readonly (readonly [string, number])[];
type Act = (world: World, pick: number) => void;

const images = [undefined, crypto, gzip];
const pickOf = <One>(list: readonly One[], pick: number) => list[pick % list.length];

export function send(world: World): void {
  world.sent.push(describe(world.agent));
}

export function deliver(world: World, report: Report | undefined): void {
  if (report === undefined) return;
  const { deployable: after, bound, failed } = applyReport(world.cloud, report, 0);
  world.cloud = after;
  if (isNewer(report, world.heard)) {
    world.heard = report;
    if (report.health.state === "gone") world.agent.foreign = "hand";
  }
  for (const one of bound) decide(world, one, "Bound");
  for (const one of failed) decide(world, one, "BindFailed");
}

function isNewer({ epoch, seq }: Report, than: Report | undefined): boolean {
  if (than === undefined) return true;
  return epoch > than.epoch || (epoch === than.epoch && seq > than.seq);
}

function decide(world: World, { claim: id, fence }: Decision, state: Claim["state"]): void {
  const claim = world.claims.get(id);
  if (claim === undefined) throw new Error(`${id} was decided after it had ended`);
  expect([claim.state, claim.fence]).toEqual(["BindStarted", fence]);
  const { functionId } = world.cloud.loaded;
  if (state === "Bound") {
    expect(world.agent.fences[claim.handle]).toBe(fence);
    if (claim.image) expect(functionId).toBe(claim.image.functionId);
  }
  claim.state = state;
}

function grantOne(world: World, pick: number): void {
  const { cloud, agent, claims } = world;
  const image = images[pick % 3];
  const isAlone = heldHandles(cloud).length === 0;
  const isLoaded = image !== undefined && cloud.loaded.sha256 === image.sha256;
  if (!isOfferable(cloud) || !(isAlone || image === undefined || isLoaded)) return;
  const name = pickOf(freeHandles(cloud), pick) ?? "";
  world.made += 1;
  const id = `claim-${world.made}`;
  world.cloud = grant(cloud, [{ claim: id, project: "p1", handle: name }], image, 0);
  const fence = world.cloud.handles[name]?.fence ?? -1;
  claims.set(id, { handle: name, fence, image, state: "BindStarted" });
  agent.dirty = true;
  agent.dirtyHandles.add(name);
}

function claimed(world: World, pick: number, state?: Claim["state"]) {
  const some = [...world.claims].filter(([, one]) => state === undefined || one.state === state);
  return pickOf(some, pick);
}

/** What can happen to a card; the number picks among possibilities. */
export const acts: Record<string, Act> = {
  grant: grantOne,
  "release a claim": (world, pick) => {
    const [id, claim] = claimed(world, pick) ?? [];
    if (id === undefined || claim === undefined) return;
    world.claims.delete(id);
    if (claim.state !== "BindFailed") world.cloud = release(world.cloud, claim.handle, 0);
  },
  "miss a deadline": (world, pick) => {
    const [, claim] = claimed(world, pick, "BindStarted") ?? [];
    if (claim === undefined) return;
    claim.state = "BindFailed";
    world.cloud = abandon(world.cloud, claim.handle, 0);
  },
  attach: (world, pick) => {
    const [, claim] = claimed(world, pick, "Bound") ?? [];
    if (claim) world.cloud = attach(world.cloud, claim.handle, { hypervisor: "libvirt" }, 0);
  },
  detach: (world, pick) => {
    const [, claim] = claimed(world, pick, "Bound") ?? [];
    if (claim) world.cloud = detach(world.cloud, claim.handle, 0);
  },
  program: (world, pick) => {
    const { cloud } = world;
    const image = images[1 + (pick % 2)];
    const mayProgram = heldHandles(cloud).every(([, one]) => !one.plugged && !one.holder?.binding);
    if (heldHandles(cloud).length > 0 && mayProgram) world.cloud = program(cloud, { image }, 0);
  },
  "work unheard": ({ agent, cloud }, pick) => {
    hear(agent, cloud);
    for (let step = 0; step < pick; step += 1) work(agent, false);
  },
  tell: (world) => {
    send(world);
    deliver(world, world.sent.at(-1));
  },
  "hear the wish": ({ agent, cloud }) => hear(agent, cloud),
  work: ({ agent }) => void work(agent, false),
  fail: ({ agent }) => void work(agent, true),
  "live a little": (world) => {
    hear(world.agent, world.cloud);
    work(world.agent, false);
    send(world);
    deliver(world, world.sent.at(-1));
  },
  "send a report": send,
  "deliver the newest": (world) => deliver(world, world.sent.at(-1)),
  "deliver any": (world, pick) => deliver(world, world.sent.at(-1 - pick)),
  reboot: (world, pick) => {
    world.boots += 1;
    reboot(world.agent, `boot-${world.boots}`, pick % 3 === 0);
    hello(world, pick % 2 === 0);
  },
  reconnect: (world) => hello(world),
  "go silent": (world) => {
    world.cloud = mark(world.cloud, { hostOnline: false }, 0);
  },
  "vanish or come back": ({ agent }) => {
    agent.away = !agent.away;
  },
  "take the card": (world) => {
    if (world.cloud.cardOperation === undefined && isOperable(world.cloud)) {
      world.cloud = withhold(world.cloud, "operation", 0);
    }
  },
  "operate on the card": ({ cloud, agent }) => {
    if (cloud.cardOperation === undefined || agent.away) return;
    agent.dirty = true;
    for (const name of Object.keys(cloud.handles)) agent.dirtyHandles.add(name);
  },
  "give the card back": giveCardBack,
  "change behind our back": ({ agent }) => {
    agent.loaded = { functionId: gzip.functionId };
    agent.record = undefined;
    agent.foreign = "hand";
  },
};

/** Whether an operation may take the card; who asks while a claim holds it is refused. */
function isOperable(cloud: Deployable): boolean {
  try {
    checkOperable({ id: cloud.device, present: cloud.present }, [cloud], "layout");
    return true;
  } catch (error) {
    if (heldHandles(cloud).length > 0) expect(isFault(error, "IN_USE")).toBe(true);
    return false;
  }
}

/** The end of an operation, or its deadline. */
export function giveCardBack(world: World): void {
  if (world.cloud.cardOperation === undefined) return;
  expect(heldHandles(world.cloud), "nothing is granted meanwhile").toEqual([]);
  world.cloud = giveBack(world.cloud, "layout", 0);
}

/** What opens a session: lifted counters, floors, perhaps the boot id; then one report. */
export function hello(world: World, isBootTold = true): void {
  const { agent } = world;
  const { generation: imageGeneration, fences, bootId } = agent;
  const marked = mark(world.cloud, { hostOnline: true, ...(isBootTold && { bootId }) }, 0);
  world.cloud = lift(marked, { imageGeneration, fences }, 0);
  greet(agent, world.cloud);
  send(world);
}
