import { isFault } from "#domain/faults";
import { wireErrorOf } from "#protocol/wire/codec";
import { without } from "../memory/without.ts";
import { failStep } from "./failure.ts";
import { absorbed } from "./intake.ts";
import { phaseFor } from "./phase.ts";
import { plan } from "./plan.ts";
import type { Equipment } from "./ports.ts";
import { readReality } from "./reality.ts";
import { describe, type ReportBody } from "./report.ts";
import type { Site } from "./site.ts";
import { type Memory, type Reality, type Step, type Wish } from "./step.ts";
import { Superseded } from "./steps/context.ts";
import { execute } from "./steps/executors.ts";
import { effectiveWish, withoutOverridden } from "./wish.ts";

/** Takes a description; `toCloud` is false for what only this host may see (Site.mayTell). */
export type Publish = (body: ReportBody, toCloud: boolean) => void;

/** What a turn needs beside its site. */
export interface TurnContext {
  readonly equipment: Equipment;
  /** Hears what is, after every change. */
  readonly publish: Publish;
  /** Asks for another turn. */
  readonly wake: () => void;
  /** Looks for cards again: an operation may have given handles other addresses. */
  readonly rescan: () => Promise<void>;
}

/** What came of one turn: a step ran, nothing is left, or it waits for something. */
export type TurnResult = "stepped" | "done" | "waiting";

/** One step of one deployable: take the newest wish in, look, choose, act, tell. */
export async function turn(site: Site, context: TurnContext): Promise<TurnResult> {
  const { equipment, publish } = context;
  try {
    await absorb(site);
  } catch (error) {
    if (!isFault(error)) throw error;
    site.trouble = wireErrorOf(error);
    const reality = await readReality(site, undefined, equipment);
    publish(describe(site, site.wish, reality), site.mayTell);
    return "waiting";
  }
  const wish = effectiveWish(site.wish, site);
  const reality = await readReality(site, wish, equipment);
  if (!site.trusted) {
    publish(describe(site, wish, reality), false);
    return "done";
  }
  await voidProofs(site, reality);
  if (reality.health.state !== "degraded") site.repaired = false;
  const next = plan(wish, reality, memoryOf(site));
  site.phase = phaseFor(next, site, reality);
  if (next.kind === "blocked") site.trouble = { code: next.code, message: next.message };
  if (next.kind === "done") site.trouble = undefined;
  site.percent = undefined;
  publish(describe(site, wish, reality), true);
  if (next.kind === "done") return site.rest.nextIn() === undefined ? "done" : "waiting";
  if (next.kind === "blocked") return "waiting";
  return await run(next, { site, wish, reality }, context);
}

async function absorb(site: Site): Promise<void> {
  await site.applyFloor();
  const { newest } = site;
  if (!site.trusted || newest === undefined || newest === site.wish) return;
  await site.changeMarks((marks) => absorbed(marks, newest));
  await site.changeJournal((journal) => withoutOverridden(journal, site.marks, newest));
  site.wish = newest;
  // Said in the reports before this wish; said for ever it would hide what comes later.
  site.notice = undefined;
  site.rest.renew(
    Object.fromEntries(
      Object.entries(newest.handles).map(([name, wish]) => [name, JSON.stringify(wish)]),
    ),
  );
}

interface Moment {
  readonly site: Site;
  readonly wish: Wish | undefined;
  readonly reality: Reality;
}

async function run(step: Step, moment: Moment, context: TurnContext): Promise<TurnResult> {
  const { site, wish, reality } = moment;
  const { place } = site;
  if (place === undefined) return "waiting";
  const { equipment, publish } = context;
  const { failpoint, log } = equipment.runtime;
  const running = new AbortController();
  site.running = running;
  const progress = (percent: number) => {
    site.percent = Math.max(0, Math.min(100, Math.round(percent)));
    publish(describe(site, wish, reality), true);
  };
  try {
    await failpoint(`step:${step.kind}:before`);
    await execute(step, { site, place, equipment, work: { progress, signal: running.signal } });
    if (["program", "scrub", "repair"].includes(step.kind)) await context.rescan();
    await failpoint(`step:${step.kind}:after`);
    if ("handle" in step) site.rest.succeeded(step.handle);
    site.trouble = undefined;
    return "stepped";
  } catch (error) {
    if (error instanceof Superseded || running.signal.aborted) {
      log("step-superseded", { deployable: site.id, step: step.kind });
      await dropIntent(site);
      return "stepped";
    }
    const result = await failStep(step, error, site, context);
    publish(describe(site, wish, reality), true);
    return result;
  } finally {
    site.running = undefined;
    site.percent = undefined;
  }
}

/** An intent that was not followed by its touch must not look like an act that was cut off. */
async function dropIntent(site: Site): Promise<void> {
  if (site.journal.operation?.stage !== "intended") return;
  await site.changeJournal((journal) => without(journal, "operation"));
}

/** What the card says now differs from what was proven, without an operation: the proof is void. */
async function voidProofs(site: Site, { bootId, loaded, health }: Reality): Promise<void> {
  const { clean } = site.marks;
  const readable = health.state === "ok" || health.state === "unmonitored";
  if (clean === undefined || site.journal.operation !== undefined || !readable) return;
  if (clean.bootId === bootId && clean.functionId === loaded.functionId) return;
  await site.changeMarks((marks) => without(marks, "clean"));
}

function memoryOf({ marks, journal, rest, repaired }: Site): Memory {
  return { marks, journal, resting: rest.resting(), repaired };
}
