import { type Assembly, assemble, defaultDeadlines } from "./assemble.ts";
import { scanMs } from "./discovery.ts";
import { type LocalApi, openLocalApi } from "./local-api.ts";
import type { AgentOptions } from "./options.ts";
import type { Deadlines } from "./reconcile/ports.ts";
import { type AgentStatus, agentStatus } from "./status.ts";

/** A running agent. */
export interface Agent {
  /** Finishes the steps that run now, then closes everything. */
  stop(): Promise<void>;
  status(): AgentStatus;
  /** False when scans or steps hang: then the watchdog is not fed any more. */
  isAlive(): boolean;
}

/** Scans that may be missed, and grace past the longest deadline, before the agent counts as hung. */
const missedScans = 12;
const hungMs = 60_000;

/** Starts an agent in this process. Rejects when the state folder or the boot id cannot be read. */
export async function startAgent(options: AgentOptions): Promise<Agent> {
  const assembly = await assemble(options);
  const { runtime, reconciler, session, discoverer, bootId, bodies } = assembly;
  const every = options.scanMs ?? scanMs;
  await reconciler.open();
  await discoverer.scan();
  const status = () => agentStatus({ host: options.hostId, bootId }, session, bodies);
  const local = await openLocal(options, assembly, status);
  const scanning = discoverer.run(every);
  const events = new AbortController();
  const hearing = options.deviceEvents?.(() => discoverer.changed(), events.signal);
  const talking = session.run();
  talking.catch((error: unknown) => runtime.log("session-failed", { error: String(error) }));
  return {
    status,
    isAlive: () =>
      discoverer.age() < missedScans * every &&
      reconciler.longestTurn() < longestStep(options.deadlines ?? defaultDeadlines),
    stop: async () => {
      discoverer.stop();
      events.abort();
      await local?.close();
      await reconciler.stop();
      session.close();
      await Promise.allSettled([scanning, talking, hearing]);
      await reconciler.saved();
      options.close?.();
    },
  };
}

function longestStep({ program, scrub }: Deadlines): number {
  return Math.max(program, scrub) + hungMs;
}

async function openLocal(
  options: AgentOptions,
  assembly: Assembly,
  status: () => AgentStatus,
): Promise<LocalApi | undefined> {
  const { localSocket: path, hostId, permitKey } = options;
  if (path === undefined) return undefined;
  return await openLocalApi({ path, desk: { ...assembly, hostId, permitKey }, status });
}
