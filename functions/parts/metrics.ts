import { type DeployableState, stateOf } from "#domain/deployable";
import { claimStates, type HostState } from "#domain/lifecycle";
import { imageStates } from "#protocol/http/images";
import { listAllClaims } from "#store/claims";
import { listDeployables } from "#store/deployables";
import { listHosts } from "#store/hosts";
import { listImages } from "#store/images";
import type { SyncState } from "#store/placement";
import type { Store } from "#store/store";
import { type Owed, owedNow } from "../openstack/checks/owed.ts";
import { allOf } from "./pages.ts";

/** What Prometheus is told the text is (exposition formats, version 0.0.4). */
export const metricsType = "text/plain; version=0.0.4; charset=utf-8";

const hostStates: readonly HostState[] = ["joined", "online", "offline", "drained"];
const syncStates: readonly SyncState[] = ["synced", "waiting", "failed"];
const handleStates = ["free", "claimed", "plugged", "releasing"] as const;
const deployableStates: readonly DeployableState[] = [
  "offline",
  "idle",
  "programming",
  "ready",
  "scrubbing",
  "faulty",
  "disabled",
];

/** Counts by state, every state on a line of its own, also when it is 0. Removed hosts are left out. */
export async function metricsText(store: Store): Promise<string> {
  const [hosts, everything, claims, images, owed] = await Promise.all([
    allOf(async (wanted) => await listHosts(store, wanted)),
    allOf(async (wanted) => await listDeployables(store, () => true, wanted)),
    allOf(async (wanted) => await listAllClaims(store, wanted)),
    allOf(async (wanted) => await listImages(store, () => true, wanted)),
    owedNow(store),
  ]);
  const known = new Set(hosts.map(({ id }) => id));
  const deployables = everything.filter(({ host }) => known.has(host));
  const handles = deployables.flatMap((one) => Object.values(one.handles));
  return [
    gauge("hosts", "Hosts", hostStates, hosts.map(stateIn)),
    gauge(
      "deployables",
      "Deployables",
      deployableStates,
      deployables.map((one) => stateOf(one).state),
    ),
    gauge("handles", "Handles", handleStates, handles.map(stateIn)),
    gauge("claims", "Claims", claimStates, claims.map(stateIn)),
    gauge("images", "Images", imageStates, images.map(stateIn)),
    ...owedLines(owed, store.now()),
  ].join("");
}

/** What second systems are owed: all 0 where there is no OpenStack cloud, or all is well. */
function owedLines({ events, allocations, hosts }: Owed, now: number): readonly string[] {
  const late = hosts.map(({ dueAt }) => Math.max(0, now - dueAt));
  const oldest = events.since === undefined ? 0 : now - events.since;
  const states = hosts.map(stateIn);
  return [
    gauge("placement_hosts", "Hosts as last compared with Placement", syncStates, states),
    single("placement_lag_seconds", "Most a host is late to be compared", Math.max(0, ...late)),
    single("nova_events_owed", "Events Nova has not accepted", events.count, 1),
    single("nova_event_tries", "Tries of events that are owed", events.tries, 1),
    single("nova_event_oldest_seconds", "Age of the oldest event that is owed", oldest),
    single("allocations_owed", "Allocations to be made or dropped in Placement", allocations, 1),
  ];
}

/** One number; milliseconds unless `unit` says otherwise. */
function single(name: string, what: string, value: number, unit = 1000): string {
  const head = `# HELP gatehouse_${name} ${what}\n# TYPE gatehouse_${name} gauge\n`;
  return `${head}gatehouse_${name} ${value / unit}\n`;
}

function stateIn<State extends string>({ state }: { readonly state: State }): State {
  return state;
}

function gauge<State extends string>(
  name: string,
  what: string,
  states: readonly State[],
  found: readonly State[],
): string {
  const counts = new Map<State, number>(states.map((state) => [state, 0]));
  for (const state of found) counts.set(state, (counts.get(state) ?? 0) + 1);
  const lines = [...counts].map(([state, n]) => `gatehouse_${name}{state="${state}"} ${n}\n`);
  const head = `# HELP gatehouse_${name} ${what} by state\n# TYPE gatehouse_${name} gauge\n`;
  return `${head}${lines.join("")}`;
}
