import type { OpenStack } from "#openstack/cloud";
import type { OpenstackCheckView } from "#protocol/http/openstack";
import type { Store } from "#store/store";
import { allocationChecks } from "./allocations.ts";
import { type Check, type Finding, failed, lookAtAll, ok, warning, worst } from "./check.ts";
import { hostCheck } from "./hosts.ts";
import { imageCheck } from "./images.ts";
import { type Owed, owedNow } from "./owed.ts";
import { serviceChecks } from "./services.ts";

/** What looking at an installation takes. */
export interface Checking {
  readonly store: Store;
  /** Undefined where no cloud is configured. */
  readonly openstack: OpenStack | undefined;
  readonly glance: "off" | "read" | "write";
}

/** Nova gives a bind up after 300 s: an event that is older came to nothing. */
const oldMs = 240_000;

/** Everything an operator wants to know of our place in the cloud, each with what to do. */
export async function checkAll({
  store,
  openstack,
  glance,
}: Checking): Promise<OpenstackCheckView> {
  if (openstack === undefined) {
    const todo = "set OS_AUTH_URL and an account, or PLACEMENT_ENDPOINT; docs/openstack.md";
    const check = { name: "configuration", ...failed("no OpenStack cloud is configured", todo) };
    return { state: "failed", checks: [check] };
  }
  let known: Promise<Owed> | undefined;
  const owed = async () => await (known ??= owedNow(store));
  const parts = { store, openstack, owed };
  const checks = await lookAtAll([
    ...serviceChecks({ openstack, now: store.now, glance }),
    hostCheck(parts),
    ...allocationChecks(parts),
    imageCheck({ store, openstack, glance }),
    owedCheck(store, owed),
  ]);
  return { state: worst(checks), checks: [...checks] };
}

function owedCheck(store: Store, owed: () => Promise<Owed>): Check {
  return {
    name: "owed",
    look: async (): Promise<readonly Finding[]> => {
      const { events, allocations } = await owed();
      const age = events.since === undefined ? 0 : store.now() - events.since;
      const text = `${events.count} events for Nova, ${allocations} allocations for Placement`;
      if (age <= oldMs) return [ok(text)];
      const old = `${text}; the oldest event is ${Math.round(age / 1000)} s old`;
      return [warning(old, "see that Nova is reachable and takes our events")];
    },
  };
}
