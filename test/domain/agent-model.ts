import type { Deployable, Loaded, WantedImage } from "#domain/deployable";
import type { Report } from "#domain/report";

/** One card with its agent, as simple as the semantics allow: one call of `work` is one step. */
export interface Agent {
  bootId: string;
  epoch: number;
  seq: number;
  wish: Deployable | undefined;
  generation: number;
  fences: Record<string, number>;
  work: Work | undefined;
  /** What the card holds, and our record of what was loaded under which boot. */
  loaded: Loaded;
  record: { boot: string; functionId: string } | undefined;
  clean: { boot: string; functionId: string | null } | undefined;
  handleClean: Record<string, { boot: string; fence: number }>;
  plugged: Record<string, boolean>;
  /** What a tenant left behind: the truth that no report can hide. */
  dirty: boolean;
  dirtyHandles: Set<string>;
  /** What the card may hold came neither from a tenant nor from us: since a boot, or by any hand. */
  foreign: "no" | "boot" | "hand";
  away: boolean;
}

interface Work {
  generation: number;
  tries: number;
  scrubbed?: string;
  outcome?: "ready" | "failed";
}

/** An agent that was just started for the first time, on a card with anything in it. */
export function newAgent(of: Deployable, bootId: string): Agent {
  return {
    bootId,
    epoch: of.reported.epoch,
    seq: of.reported.seq,
    wish: undefined,
    generation: 0,
    fences: {},
    work: undefined,
    loaded: { functionId: null },
    record: undefined,
    clean: undefined,
    handleClean: {},
    plugged: Object.fromEntries(Object.keys(of.handles).map((name) => [name, false])),
    dirty: true,
    dirtyHandles: new Set(Object.keys(of.handles)),
    foreign: "no",
    away: false,
  };
}

/** Takes a wish in, unless it is older than what was seen. */
export function hear(agent: Agent, wish: Deployable): void {
  const fences = Object.entries(wish.handles);
  const isStale =
    wish.imageGeneration < agent.generation ||
    fences.some(([name, { fence }]) => fence < (agent.fences[name] ?? 0)) ||
    (agent.wish !== undefined && wish.revision < agent.wish.revision);
  if (isStale) return;
  agent.wish = wish;
  agent.generation = wish.imageGeneration;
  if (agent.work?.generation !== wish.imageGeneration) {
    agent.work = { generation: wish.imageGeneration, tries: 0 };
  }
  for (const [name, { fence }] of fences) agent.fences[name] = fence;
}

/** One step towards the wish; false when nothing is left to do. `fails` makes hardware refuse. */
export function work(agent: Agent, fails: boolean): boolean {
  const { wish, work: task } = agent;
  if (wish === undefined || task === undefined || agent.away) return false;
  const mustLeave = Object.keys(agent.plugged).find(
    (name) => agent.plugged[name] === true && wish.handles[name]?.plugged !== true,
  );
  if (mustLeave !== undefined) {
    agent.plugged[mustLeave] = false;
    return true;
  }
  return task.outcome === undefined
    ? generationStep(agent, wish, { task, fails })
    : handleStep(agent, wish, task);
}

function generationStep(
  agent: Agent,
  wish: Deployable,
  { task, fails }: { task: Work; fails: boolean },
): boolean {
  const mustScrub = wish.wish.scrub !== undefined && task.scrubbed !== agent.bootId;
  const { image } = wish.wish;
  const mustLoad = image !== undefined && agent.loaded.functionId !== image.functionId;
  if (!mustScrub && !mustLoad) {
    task.outcome = "ready";
    return true;
  }
  if (Object.values(agent.plugged).includes(true)) return false;
  agent.clean = undefined;
  if (fails) {
    task.tries += 1;
    if (task.tries === 2) task.outcome = "failed";
    return true;
  }
  if (mustScrub) scrub(agent, task);
  else if (image !== undefined) load(agent, task, image);
  return true;
}

function scrub(agent: Agent, task: Work): void {
  agent.loaded = { functionId: null };
  agent.record = undefined;
  agent.dirty = false;
  agent.foreign = "no";
  agent.dirtyHandles.clear();
  task.scrubbed = agent.bootId;
  agent.clean = { boot: agent.bootId, functionId: null };
  for (const name of Object.keys(agent.plugged)) {
    agent.handleClean[name] = { boot: agent.bootId, fence: agent.fences[name] ?? 0 };
  }
}

function load(agent: Agent, task: Work, { functionId, id, sha256 }: WantedImage): void {
  agent.loaded = { functionId, imageId: id, sha256 };
  agent.record = { boot: agent.bootId, functionId };
  agent.foreign = "no";
  if (task.scrubbed === agent.bootId) agent.clean = { boot: agent.bootId, functionId };
}

function handleStep(agent: Agent, wish: Deployable, task: Work): boolean {
  const { image } = wish.wish;
  const isMet = image === undefined || agent.loaded.functionId === image.functionId;
  const isClaimed = Object.values(wish.handles).some(({ holder }) => holder !== undefined);
  if (task.outcome === "ready" && image !== undefined && !isMet && isClaimed) {
    load(agent, { ...task, scrubbed: "" }, image);
    agent.clean = undefined;
    return true;
  }
  const isReady = task.outcome === "ready";
  return (
    (isReady && isMet && plugOne(agent, wish)) || (maySettle(wish, task) && cleanOne(agent, wish))
  );
}

function maySettle({ wish }: Deployable, { outcome }: Work): boolean {
  return outcome === "ready" || wish.scrub === undefined;
}

function plugOne(agent: Agent, { handles }: Deployable): boolean {
  const [name] =
    Object.entries(handles).find(
      ([one, { plugged, holder }]) => plugged && holder !== undefined && !agent.plugged[one],
    ) ?? [];
  if (name === undefined) return false;
  agent.plugged[name] = true;
  delete agent.handleClean[name];
  return true;
}

function cleanOne(agent: Agent, { handles }: Deployable): boolean {
  const [name] =
    Object.entries(handles).find(
      ([one, { state, holder }]) =>
        state === "releasing" && holder === undefined && !isHandleClean(agent, one),
    ) ?? [];
  if (name === undefined) return false;
  agent.handleClean[name] = { boot: agent.bootId, fence: agent.fences[name] ?? 0 };
  agent.dirtyHandles.delete(name);
  return true;
}

function isHandleClean(agent: Agent, name: string): boolean {
  const proof = agent.handleClean[name];
  return proof?.boot === agent.bootId && proof.fence >= (agent.fences[name] ?? 0);
}

/** What the agent would say now; every call takes a seq. */
export function describe(agent: Agent): Report {
  agent.seq += 1;
  const { bootId, epoch, seq, loaded, work: task } = agent;
  return {
    epoch,
    seq,
    bootId,
    imageGeneration: task?.generation ?? agent.generation,
    revision: agent.wish?.revision ?? 0,
    phase: phaseOf(agent),
    loaded: agent.record?.boot === bootId ? loaded : { functionId: loaded.functionId },
    health: { state: agent.away ? "gone" : "ok" },
    clean: isClean(agent),
    handles: agent.away ? {} : handlesOf(agent),
    error: task?.outcome === "failed" ? { code: "PROGRAM_FAILED", message: "no" } : undefined,
  };
}

function isClean({ clean, bootId, loaded }: Agent): boolean {
  return clean?.boot === bootId && clean.functionId === loaded.functionId;
}

function handlesOf(agent: Agent): Report["handles"] {
  return Object.fromEntries(
    Object.entries(agent.plugged).map(([name, isPlugged]) => [
      name,
      {
        fence: agent.fences[name] ?? 0,
        state: isPlugged ? ("plugged" as const) : ("unplugged" as const),
        clean: !isPlugged && isHandleClean(agent, name),
      },
    ]),
  );
}

function phaseOf({ work: task, wish, loaded, record }: Agent): string {
  if (task?.outcome === "failed") return "failed";
  if (task?.outcome === undefined) return wish === undefined ? "idle" : "programming";
  const wanted = wish === undefined ? record?.functionId : wish.wish.image?.functionId;
  return wanted === undefined || wanted === loaded.functionId ? "ready" : "idle";
}

/** The host starts again: cards lose what was loaded, guests are gone, marks stay unless `forgets`. */
export function reboot(agent: Agent, bootId: string, forgets: boolean): void {
  agent.bootId = bootId;
  agent.loaded = { functionId: null };
  agent.foreign = "boot";
  agent.wish = undefined;
  for (const name of Object.keys(agent.plugged)) agent.plugged[name] = false;
  if (!forgets) return;
  agent.work = undefined;
  agent.record = undefined;
  agent.generation = 0;
  agent.fences = {};
  agent.clean = undefined;
  agent.handleClean = {};
}

/** A new session: the cloud's floors lift what the agent lost. */
export function greet(agent: Agent, cloud: Deployable): void {
  agent.epoch += 1;
  agent.seq = 0;
  agent.wish = undefined;
  agent.generation = Math.max(agent.generation, cloud.imageGeneration);
  for (const [name, { fence }] of Object.entries(cloud.handles)) {
    agent.fences[name] = Math.max(agent.fences[name] ?? 0, fence);
  }
}
