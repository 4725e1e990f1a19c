import { type Quota, used } from "#domain/quota";
import type { QuotaView } from "#protocol/http/settings";

/** A quota with what is used of it; `left` is negative after a limit was set below that. */
export function quotaView(quota: Quota): QuotaView {
  const { project, resourceClass, limit, left } = quota;
  return { project, resourceClass, limit, used: used(quota), left };
}
