import type { Claim } from "#domain/claim";
import { stateOf } from "#domain/deployable";
import type { Host } from "#domain/host";
import { listAllClaims } from "#store/claims";
import { listHosts } from "#store/hosts";
import { allImages } from "#store/images";
import type { List, Wanted } from "#store/lists";
import type { Store } from "#store/store";
import { presentDeployables } from "../parts/fleet.ts";

async function everything<Entry>(
  list: (wanted: Wanted) => Promise<List<Entry>>,
): Promise<readonly Entry[]> {
  const found: Entry[] = [];
  let after: string | undefined;
  do {
    const page = await list({ limit: 200, after });
    found.push(...page.items);
    after = page.next;
  } while (after !== undefined);
  return found;
}

function gauge(name: string, help: string, states: readonly string[]): string {
  const counts = [...Map.groupBy(states, (state) => state)].map(
    ([state, same]) => `${name}{state="${state}"} ${same.length}`,
  );
  return [`# HELP ${name} ${help}`, `# TYPE ${name} gauge`, ...counts.toSorted(), ""].join("\n");
}

/** Counts by state in the Prometheus text format 0.0.4, from the lists that callers see. */
export async function metricsOf(store: Store): Promise<string> {
  const [hosts, deployables, claims, images] = await Promise.all([
    everything<Host>(async (wanted) => await listHosts(store, wanted)),
    presentDeployables(store, undefined),
    everything<Claim>(async (wanted) => await listAllClaims(store, wanted)),
    allImages(store, () => true),
  ]);
  const handles = deployables.flatMap((one) => Object.values(one.handles));
  const states = (all: readonly { readonly state: string }[]) => all.map(({ state }) => state);
  return [
    gauge("gatehouse_hosts", "Hosts by state.", states(hosts)),
    gauge(
      "gatehouse_deployables",
      "Deployables by state.",
      deployables.map((one) => stateOf(one).state),
    ),
    gauge("gatehouse_handles", "Handles by state.", states(handles)),
    gauge("gatehouse_claims", "Claims by state.", states(claims)),
    gauge("gatehouse_images", "Images by state.", states(images)),
  ].join("");
}
