import { Fault, isFault } from "#domain/faults";
import type { Shape } from "#domain/providers/provider";
import { providersOf } from "#domain/providers/providers";
import type { OpenStack } from "#openstack/cloud";
import { readCyborg } from "#openstack/cyborg";
import type { OpenstackImportView } from "#protocol/http/openstack";
import { providerId } from "#protocol/uuid";
import { adoptClaim } from "#store/adopt";
import { listAllClaims } from "#store/claims";
import { listDeployables } from "#store/deployables";
import { listHosts } from "#store/hosts";
import { createProfile, listProfiles } from "#store/named";
import type { Store } from "#store/store";
import { serviceHeader } from "../../accelerator/router.ts";
import { allOf } from "../../parts/pages.ts";
import { type OwnSite, planImport, type Step } from "./plan.ts";

/** What taking over a site takes. */
export interface Importing {
  readonly store: Store;
  /** The cloud, with Cyborg as its accelerator service; undefined where none is configured. */
  readonly cyborg: OpenStack | undefined;
  readonly shape: Shape;
  readonly defaultQuota: number;
}

type Item = OpenstackImportView["items"][number];

/**
 * Takes over what a running Cyborg has given out: profiles, and bound requests with their handles, each
 * in a transaction of its own. What is here already stays as it is, so it may run again. With `dryRun`
 * nothing is written. WRONG_STATE when there is no Cyborg to take over from; OPENSTACK_UNAVAILABLE.
 */
export async function importSite(
  importing: Importing,
  { dryRun }: { readonly dryRun: boolean },
): Promise<OpenstackImportView> {
  const cyborg = await cyborgOf(importing);
  const [site, own] = await Promise.all([readCyborg(cyborg), ownSite(importing)]);
  const items: Item[] = [];
  for (const step of planImport(site, own, importing.store.now())) {
    items.push(await carriedOut(importing, step, dryRun));
  }
  return { dryRun, items };
}

/** The endpoint must be somebody else's: once the catalog names us, Cyborg's own has to be told. */
async function cyborgOf({ cyborg }: Importing): Promise<OpenStack> {
  const expected = "CYBORG_ENDPOINT, or Cyborg in the catalog";
  const url = await cyborg?.endpoint("accelerator");
  if (cyborg === undefined || url === undefined) {
    throw new Fault("WRONG_STATE", "there is no accelerator service to take over from", {
      expected,
    });
  }
  const reply = await cyborg.send({ service: "accelerator", method: "GET", path: "" });
  if (reply.headers.get(serviceHeader) === null) return cyborg;
  throw new Fault("WRONG_STATE", `${url} is this service itself`, { expected });
}

async function ownSite({ store, shape }: Importing): Promise<OwnSite> {
  const [hosts, deployables, profiles, claims] = await Promise.all([
    allOf(async (wanted) => await listHosts(store, wanted)),
    allOf(async (wanted) => await listDeployables(store, () => true, wanted)),
    allOf(async (wanted) => await listProfiles(store, wanted)),
    allOf(async (wanted) => await listAllClaims(store, wanted)),
  ]);
  const names = hosts.flatMap(({ id, name }) => {
    const own = deployables.filter(({ host }) => host === id);
    return providersOf(shape, name, own, []).map((provider) => provider.name);
  });
  return {
    hosts,
    deployables,
    profiles,
    claims: new Set(claims.map(({ id }) => id)),
    providers: new Set(names.map(providerId)),
  };
}

async function carriedOut(importing: Importing, step: Step, dryRun: boolean): Promise<Item> {
  const { kind, id, what, text } = step;
  if (what !== "take") return { kind, id, state: what, text };
  if (dryRun) return { kind, id, state: "planned", text };
  try {
    await take(importing, step);
    return { kind, id, state: "taken", text };
  } catch (error) {
    if (!isFault(error)) throw error;
    return { kind, id, state: "conflict", text: `${text}: ${error.message}` };
  }
}

async function take(
  { store, defaultQuota }: Importing,
  step: Extract<Step, { what: "take" }>,
): Promise<void> {
  if ("profile" in step) await createProfile(store, step.profile);
  else await adoptClaim(store, { claim: step.claim, defaultQuota });
}
