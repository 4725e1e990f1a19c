import type { Deployable } from "#domain/deployable";
import { deployablesOf, listDeployables } from "#store/deployables";
import type { Store } from "#store/store";

/** Every present deployable of one host or of the fleet: for catalogues and counts, page by page. */
export async function presentDeployables(
  store: Store,
  host: string | undefined,
): Promise<readonly Deployable[]> {
  const isPresent = (one: Deployable) => one.present;
  if (host !== undefined) return (await deployablesOf(store, host)).filter(isPresent);
  const found: Deployable[] = [];
  let after: string | undefined;
  do {
    const page = await listDeployables(store, isPresent, { limit: 200, after });
    found.push(...page.items);
    after = page.next;
  } while (after !== undefined);
  return found;
}
