import type { Deployable } from "#domain/deployable";
import { type Explanation, explain } from "#domain/explain";
import { Fault } from "#domain/faults";
import { type Requirement, traitsWith } from "#domain/matching";
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
 * could ever match, NO_CAPACITY with the explanation otherwise.
 */
export async function refusal(store: Store, need: Requirement): Promise<Fault> {
  if (need.host !== undefined) await readHost(store, need.host);
  const deployables = await judged(store, need.host);
  const unknown = unknownName(deployables, need);
  if (unknown !== undefined) return unknown;
  const { summary, fits, busy, unsuitable, deployables: verdicts } = explain(deployables, need);
  const explanation = {
    summary,
    fits,
    busy,
    unsuitable,
    deployables: verdicts.slice(0, mostShown),
  };
  return new Fault("NO_CAPACITY", summary, { explanation });
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
