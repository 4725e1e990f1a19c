import type { Deployable } from "#domain/deployable";
import { type Explanation, explain } from "#domain/explain";
import { Fault } from "#domain/faults";
import { type Requirement, traitsWith } from "#domain/matching";
import type { GroupNeed } from "#domain/packing";
import { deployablesOf, listDeployables } from "#store/deployables";
import { readHost } from "#store/hosts";
import type { Store } from "#store/store";

/** Most deployables one explanation looks at; a problem document shows the first of them. */
const mostJudged = 1_000;
const mostShown = 20;

/** Every deployable an explanation should look at: the host's, or the fleet's up to a limit. */
async function judged(store: Store, host: string | undefined): Promise<readonly Deployable[]> {
  if (host !== undefined) return await deployablesOf(store, host);
  const found: Deployable[] = [];
  let after: string | undefined;
  do {
    const page = await listDeployables(store, () => true, { limit: 200, after });
    found.push(...page.items);
    after = page.next;
  } while (after !== undefined && found.length < mostJudged);
  return found;
}

/** Which deployables could serve a need, and why not the others. */
export async function explainNeed(store: Store, need: Requirement): Promise<Explanation> {
  return explain(await judged(store, need.host), need);
}

/**
 * Why nothing was granted: UNKNOWN_HOST, UNKNOWN_RESOURCE_CLASS or UNKNOWN_TRAIT when no deployable
 * could ever match, NO_CAPACITY with the explanation of the first group that is short otherwise.
 */
export async function refusal(store: Store, groups: readonly GroupNeed[]): Promise<Fault> {
  const host = groups.find(({ need }) => need.host !== undefined)?.need.host;
  if (host !== undefined) await readHost(store, host);
  const deployables = await judged(store, host);
  const needs = groups.map(({ need }) => need);
  const unknown = needs.map((need) => unknownName(deployables, need)).find((one) => one);
  if (unknown !== undefined) return unknown;
  const explained = groups.map(({ need, count }) => ({ count, why: explain(deployables, need) }));
  const short = explained.find(({ count, why }) => freeIn(why) < count);
  const { why } = short ?? explained[0] ?? {};
  if (why === undefined) return new Fault("INTERNAL", "a request has a group");
  const asked = groups.reduce((sum, { count }) => sum + count, 0);
  const spread = short === undefined && asked > 1 ? `, but no single host has all ${asked}` : "";
  const summary = `${why.summary}${spread}`;
  const explanation = { ...why, summary, deployables: why.deployables.slice(0, mostShown) };
  return new Fault("NO_CAPACITY", summary, { explanation });
}

function freeIn({ deployables }: Explanation): number {
  return deployables.reduce((sum, { free }) => sum + free, 0);
}

function unknownName(deployables: readonly Deployable[], need: Requirement): Fault | undefined {
  const { resourceClasses, required, image } = need;
  if (!deployables.some((one) => resourceClasses.includes(one.resourceClass))) {
    const name = resourceClasses.join(" or ");
    return new Fault("UNKNOWN_RESOURCE_CLASS", `no deployable has ${name}`, {
      field: "resourceClass",
    });
  }
  const traits = new Set(deployables.flatMap((one) => [...traitsWith(one, image)]));
  const missing = required.findIndex((trait) => !traits.has(trait));
  if (missing === -1) return undefined;
  return new Fault("UNKNOWN_TRAIT", `no deployable has ${required[missing] ?? ""}`, {
    field: `traits.${missing}`,
  });
}
