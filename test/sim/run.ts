import type { Deployable } from "#domain/deployable";
import type { Image } from "#domain/image";
import type { FaultKind } from "./faults.ts";
import type { StockImage } from "./images.ts";
import type { Violation } from "./judge/invariants.ts";
import { notOffered } from "./judge/offered.ts";
import { opsOf } from "./ops.ts";
import type { Upload } from "./shelf.ts";
import { Site } from "./site.ts";

/** What a run is asked for; the same always gives the same run. */
export interface RunOptions {
  readonly seed: number;
  readonly ops: number;
  readonly hosts: number;
  readonly images: readonly StockImage[];
  readonly faults?: readonly FaultKind[] | undefined;
  /** Only these ops are done: the rest was cut away. */
  readonly keep?: readonly number[] | undefined;
  readonly plant?: string | undefined;
  readonly log?: ((line: string) => void) | undefined;
}

/** What came of a run. */
export interface RunResult {
  readonly violation: Violation | undefined;
  readonly hash: string;
  /** Kinds of faults that the seed turned on. */
  readonly faults: readonly FaultKind[];
  readonly events: number;
  readonly requests: number;
  readonly tableCalls: number;
  /** Simulated time, ms. */
  readonly elapsed: number;
}

/** Longest time in which everything comes to rest when the faults are over, ms. */
const restMs = 900_000;
const stepMs = 15_000;
/** Two tries of a judgement that was cut off twice before, ms (layers/domain/judgement.ts). */
const judgedMs = 3_600_000;
/** A bind that nothing hinders: its deadline, two ticks of the sweep, and the ways. */
const settledMs = 330_000;

/** One run: the ops with their faults, then peace, and the demand that all of it comes to rest. */
export async function run(options: RunOptions): Promise<RunResult> {
  const site = new Site(options);
  try {
    return await play(site, options);
  } finally {
    site.time.close();
  }
}

async function play(site: Site, options: RunOptions): Promise<RunResult> {
  const kinds = site.faults.kinds;
  await site.prepare();
  site.begin();
  const ops = opsOf(site.streams, options.ops);
  const kept = options.keep === undefined ? undefined : new Set(options.keep);
  site.schedule(kept === undefined ? ops : ops.filter(({ id }) => kept.has(id)));
  await site.pass((ops.at(-1)?.at ?? 0) + 1000);
  if (!site.isOver) await comeToRest(site);
  if (!site.isOver) judgeHistory(site);
  return {
    violation: site.judge.violation,
    hash: site.hash,
    faults: kinds,
    events: site.time.steps,
    requests: site.clients.requests,
    tableCalls: site.table.calls,
    elapsed: site.time.elapsed,
  };
}

function judgeHistory({ history, judge }: Site): void {
  for (const handle of history.broken()) judge.fail("linear", `what was seen of ${handle}`);
}

/** Faults stop: every claim settles, ends when it is asked to, and every card is offered again. */
async function comeToRest(site: Site): Promise<void> {
  const { faults, hosts, judge, clients } = site;
  faults.stop();
  for (const host of hosts) await site.done(host.heal());
  for (const { id } of hosts) await site.done(clients.activate(id));
  const unsettled = () => [...judge.claims.values()].filter((one) => one.state === "BindStarted");
  const late = site.time.elapsed + settledMs;
  while (unsettled().length > 0 && site.time.elapsed < late && !site.isOver) {
    await site.pass(stepMs);
  }
  for (const { id } of unsettled()) judge.fail("I7", `claim ${id} is still to be bound`);
  const end = site.time.elapsed + restMs;
  let missing: readonly string[] = ["nobody has looked"];
  while (missing.length > 0 && site.time.elapsed < end && !site.isOver) {
    await site.done(clients.releaseAll());
    await help(site);
    await site.pass(stepMs);
    missing = notAtRest(site);
  }
  for (const what of missing) judge.fail("alive", what);
  if (!site.isOver) await comeToJudgement(site);
}

/** Every upload that the table knows of is judged by itself; the others when dead letters come again. */
async function comeToJudgement(site: Site): Promise<void> {
  const { shelf, judge } = site;
  const open = () => shelf.uploads.filter((one) => !isJudged(site, one));
  const owed = () => open().filter(({ row }) => isOwed(judge.images.get(row.id)));
  await passUntil(site, () => owed().length === 0);
  for (const { row } of owed()) judge.fail("alive", `image ${row.id} is not judged`);
  const isDone = () => {
    // Letters die one after the other: a function that hangs is given up minutes later.
    site.redrive();
    return open().length === 0;
  };
  await passUntil(site, isDone);
  for (const { row } of open()) judge.fail("alive", `the upload ${row.objectKey} is lost`);
}

async function passUntil(site: Site, isDone: () => boolean): Promise<void> {
  const end = site.time.elapsed + judgedMs;
  while (!isDone() && site.time.elapsed < end && !site.isOver) await site.pass(stepMs);
}

/** The table knows that it is to be judged, without any event. */
function isOwed(image: Image | undefined): boolean {
  return image !== undefined && !(image.state === "pending" && image.reason !== undefined);
}

/** Also one that waits for tags it never got. */
function isJudged({ judge }: Site, { row, fate, isCorrected }: Upload): boolean {
  const state = judge.images.get(row.id)?.state;
  const isTagged = fate !== "untyped" || isCorrected;
  return state === "pending" ? !isTagged : state !== undefined && state !== "verifying";
}

/**
 * What an operator does for cards that wait for one: enables them, restarts a host that cannot go on,
 * plugs a card in again that fell off the bus under a program begun before the faults were over.
 */
async function help(site: Site): Promise<void> {
  const { judge, clients, hosts, log } = site;
  // A drain that nobody heard the answer of may come late.
  for (const { id } of hosts) {
    if (judge.beatOf(id)?.state === "drained") await site.done(clients.activate(id));
  }
  for (const one of judge.deployables.values()) {
    const why = notOffered(one);
    if (why === undefined) continue;
    log(`operator looks at ${one.id}: ${why}`);
    await helpCard(site, one);
  }
}

async function helpCard(site: Site, one: Deployable): Promise<void> {
  const { clients, hosts } = site;
  const isFailed = one.outcome.result === "failed";
  if (!one.enabled || isFailed) await site.done(clients.enable(one.id));
  const host = hosts.find(({ id }) => id === one.host);
  if (host === undefined) return;
  if (host.lacksCards) await site.done(host.heal());
  if (one.health.state === "stuck" || host.needsReboot) await site.done(host.powerOff());
}

function notAtRest({ judge, hosts }: Site): readonly string[] {
  const held = [...judge.claims.values()].map(({ id, state }) => `claim ${id} is ${state}`);
  const idle = [...judge.deployables.values()].flatMap((one: Deployable) => {
    const why = notOffered(one);
    return why === undefined ? [] : [`deployable ${one.id} is not offered: ${why}`];
  });
  const cards = hosts.reduce((sum, host) => sum + host.kernel.state().cards.length, 0);
  const none = judge.deployables.size < cards ? ["cards are not known"] : [];
  const left = [...judge.pointers]
    .filter((pointer) => /#.*\/(?:CLAIM|WAIT)#/.test(pointer))
    .map((pointer) => `${pointer} is left`);
  const quotas = [...judge.quotas]
    .filter(([, quota]) => quota.left !== quota.limit)
    .map(([name]) => `${name} is not whole`);
  return [...held, ...idle, ...none, ...left, ...quotas];
}
