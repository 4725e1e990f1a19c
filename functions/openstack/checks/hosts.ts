import type { Host } from "#domain/host";
import type { OpenStack } from "#openstack/cloud";
import { PlacementClient } from "#openstack/placement/client";
import { listHosts } from "#store/hosts";
import type { Store } from "#store/store";
import { allOf } from "../../parts/pages.ts";
import { type Check, type Finding, failed, named, ok, skipped, warning } from "./check.ts";
import type { Owed } from "./owed.ts";

/** Our hosts, as Placement knows them. */
export interface Hosting {
  readonly store: Store;
  readonly openstack: OpenStack;
  readonly owed: () => Promise<Owed>;
}

/** A host is compared once a minute; one that is this late is not compared at all. */
const lateMs = 180_000;

export function hostCheck(hosting: Hosting): Check {
  return { name: "hosts in placement", look: async () => await hosts(hosting) };
}

async function hosts({ store, openstack, owed }: Hosting): Promise<readonly Finding[]> {
  const client = new PlacementClient(openstack);
  if (!(await client.wire.isThere())) return [skipped("there is no Placement")];
  const [known, { hosts: records }, roots] = await Promise.all([
    allOf(async (wanted) => await listHosts(store, wanted)),
    owed(),
    client.roots(),
  ]);
  if (known.length === 0) return [skipped("there is no host yet")];
  const names = new Set(roots.map(({ name }) => name));
  const strangers = known.filter(({ name }) => !names.has(name));
  const findings = strangers.map((host) => stranger(host, [...names]));
  const failing = records.filter(
    ({ state, hostName }) => state === "failed" && names.has(hostName),
  );
  for (const { hostName, problem } of failing) {
    const text = `${hostName}: ${problem ?? "could not be compared"}`;
    findings.push(warning(text, "it is tried again by itself; see that Placement is well"));
  }
  const now = store.now();
  const late = records.filter(({ dueAt, hostName }) => names.has(hostName) && now - dueAt > lateMs);
  if (late.length > 0) {
    const text = `not compared for minutes: ${named(late.map(({ hostName }) => hostName))}`;
    findings.push(failed(text, "see that the function openstackClock runs once a minute"));
  }
  const well = known.length - strangers.length - failing.length;
  return [
    ...(well > 0 ? [ok(`${well} of ${known.length} hosts have their provider`)] : []),
    ...findings,
  ];
}

/** Nova names a provider by its node: what differs only by domain or case is pointed out. */
function stranger({ name }: Host, names: readonly string[]): Finding {
  const short = (text: string) => (text.split(".")[0] ?? "").toLowerCase();
  const like = names.find((one) => short(one) === short(name));
  const text = `Placement has no provider named ${name}`;
  if (like === undefined) {
    return warning(text, "start nova-compute on it, or wait until it has made its provider");
  }
  const todo = `the node is called ${like} there: make the host anew under that name (gatehouse hosts add ${like})`;
  return failed(`${text}, but one named ${like}`, todo);
}
