import type { Claim } from "#domain/claim";
import type { HandleInfo } from "#domain/deployable";
import { changeOf, selfLink, timeOf } from "./links.ts";
import { asUuid, handleId } from "./uuids.ts";

/**
 * An accelerator request as Cyborg shows it, in its order of members (cyborg.md §1.3). `address` is
 * its handle's as it is now: addresses renumber with a reboot.
 */
export function arqView(claim: Claim, base: string, address?: string) {
  const { id, createdAt, updatedAt } = claim;
  return {
    uuid: id,
    state: claim.state,
    device_profile_name: claim.profile ?? null,
    device_profile_group_id: claim.group ?? 0,
    hostname: claim.hostName ?? null,
    device_rp_uuid: claim.provider ?? null,
    instance_uuid: instanceOf(claim),
    project_id: claim.project,
    ...attachHandle(claim, address ?? claim.pciAddress),
    links: [selfLink(base, "accelerator_requests", id)],
    created_at: timeOf(createdAt),
    updated_at: changeOf(createdAt, updatedAt),
  };
}

/** A native claim may name its instance as it likes: clients of this API know uuids only. */
function instanceOf({ instance }: Claim): string | null {
  return asUuid(instance) ?? null;
}

interface AttachHandle {
  readonly attach_handle_type: "" | "PCI";
  readonly attach_handle_uuid: string | null;
  readonly attach_handle_info: HandleInfo | object;
}

/** Nova attaches what is `PCI`, and only when it is Bound (openstack.md §5). */
function attachHandle(
  { state, deployable, handle }: Claim,
  address: string | undefined,
): AttachHandle {
  const info = address === undefined ? undefined : handleInfo(address);
  if (state !== "Bound" || deployable === undefined || handle === undefined || info === undefined) {
    return { attach_handle_type: "", attach_handle_uuid: null, attach_handle_info: {} };
  }
  return {
    attach_handle_type: "PCI",
    attach_handle_uuid: handleId(deployable, handle),
    attach_handle_info: info,
  };
}

/** `0000:3b:00.1` in parts: hex without 0x, as libvirt's address wants it. */
function handleInfo(address: string): HandleInfo | undefined {
  const [, domain, bus, device, fn] =
    /^([0-9a-f]{4,8}):([0-9a-f]{2}):([0-9a-f]{2})\.([0-7])$/i.exec(address) ?? [];
  if (domain === undefined || bus === undefined || device === undefined || fn === undefined) {
    return undefined;
  }
  return { domain, bus, device, function: fn };
}
