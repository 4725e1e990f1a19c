import type { Beat, Host } from "#domain/host";
import type { HostView } from "#protocol/http/hosts";
import { publicKeyText } from "#protocol/http/receipts";
import { present, timeOf } from "../views.ts";

/** A host with its sign of life and the key that its receipts are signed with; its machine is not shown. */
export function hostView(host: Host, beat: Pick<Beat, "epoch" | "seenAt">): HostView {
  return present({
    id: host.id,
    name: host.name,
    state: host.state,
    joined: host.publicKey !== undefined,
    publicKey: host.publicKey === undefined ? undefined : publicKeyText(host.publicKey),
    revoked: host.revoked,
    alarm: host.alarm,
    agentVersion: host.agentVersion,
    bootId: host.bootId,
    epoch: beat.epoch,
    seenAt: beat.seenAt === 0 ? undefined : timeOf(beat.seenAt),
    createdAt: timeOf(host.createdAt),
  }) as HostView;
}
