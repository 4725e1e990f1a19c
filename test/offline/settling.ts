import type { ClaimView } from "#protocol/http/claims";
import type { DeployableView } from "#protocol/http/deployables";
import type { QuotaView } from "#protocol/http/settings";
import type { Api } from "../../localstack/hosts/api.ts";
import { type TourContext, until } from "../../localstack/tour/steps.ts";
import type { Offline } from "./support.ts";

/** What the tour's steps need, for one project of a test. */
export function stepsOf({ s3, cloud }: Offline, api: Api, project = "acme"): TourContext {
  return { api, s3, bucket: cloud.bucket, project, say: () => undefined };
}

export async function deployables(api: Api): Promise<readonly DeployableView[]> {
  const { items } = await api<{ items: DeployableView[] }>("GET", "/v1/deployables?limit=200");
  return items;
}

/** Waits until every handle of so many deployables is free and on offer. */
export async function allFree(api: Api, count: number): Promise<readonly DeployableView[]> {
  return await until(`${count} deployables with every handle free`, async () => {
    const all = await deployables(api);
    const free = all.filter((one) => one.offered && one.handles.every(isFree));
    return free.length >= count ? free : undefined;
  });
}

const isFree = ({ state }: DeployableView["handles"][number]) => state === "free";

/** Waits until one deployable looks as wished. */
export async function deployableWhen(
  api: Api,
  id: string | undefined,
  wish: (one: DeployableView) => boolean,
): Promise<DeployableView> {
  return await until(`deployable ${id} to be as wished`, async () => {
    const one = await api<DeployableView>("GET", `/v1/deployables/${id}`);
    return wish(one) ? one : undefined;
  });
}

/** Waits until one claim looks as wished. */
export async function claimWhen(
  api: Api,
  id: string,
  wish: (claim: ClaimView) => boolean,
): Promise<ClaimView> {
  return await until(`claim ${id} to be as wished`, async () => {
    const claim = await api<ClaimView>("GET", `/v1/claims/${id}`);
    return wish(claim) ? claim : undefined;
  });
}

/** What a project holds, by resource class. */
export async function used(api: Api): Promise<Readonly<Record<string, number>>> {
  const { items } = await api<{ items: QuotaView[] }>("GET", "/v1/quotas");
  for (const { limit, left, used: held } of items) {
    if (limit - left !== held) throw new Error(`${limit} − ${left} is not ${held}`);
  }
  return Object.fromEntries(items.map((one) => [one.resourceClass, one.used]));
}
