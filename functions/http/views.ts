import type { Claim } from "#domain/claim";
import { type Deployable, type Handle, isPending, notOfferable, stateOf } from "#domain/deployable";
import type { Image } from "#domain/image";
import { traitsWith } from "#domain/matching";
import { imageTraits } from "#domain/traits";
import type { ClaimView } from "#protocol/http/claims";
import type { DeployableView } from "#protocol/http/deployables";
import type { ImageView } from "#protocol/http/images";

/** Domain objects as the API shows them: times as ISO text, other tenants' claims left out. */

/** Milliseconds since the epoch as ISO 8601 text in UTC. */
export function timeOf(ms: number): string {
  return new Date(ms).toISOString();
}

/** Members that are there; absent ones are left out of an answer. */
export function present<Members extends object>(members: Members): Members {
  return Object.fromEntries(
    Object.entries(members).filter(([, value]) => value !== undefined),
  ) as Members;
}

const optionalTime = (ms: number | undefined) => (ms === undefined ? undefined : timeOf(ms));

export function imageView(image: Image): ImageView {
  return present({
    id: image.id,
    project: image.project,
    name: image.name,
    vendor: image.vendor,
    type: image.type,
    visibility: image.visibility,
    state: image.state,
    reason: image.reason,
    objectKey: image.objectKey,
    source: image.glance === undefined ? "upload" : "glance",
    copy: copyView(image),
    registration: registrationView(image),
    size: image.size,
    sha256: image.sha256,
    md5: image.md5,
    format: image.format,
    interfaceId: image.interfaceId,
    functionId: image.functionId,
    signedBy: image.manifest?.keyId,
    traits: [...imageTraits({ functionId: image.functionId, type: image.type })],
    createdAt: timeOf(image.createdAt),
    updatedAt: timeOf(image.updatedAt),
  }) as ImageView;
}

function copyView(image: Image): ImageView["copy"] {
  const { glance } = image;
  if (glance === undefined || image.state !== "pending") return undefined;
  const { copied, size, problem } = glance;
  return present({ copied, size, problem }) as ImageView["copy"];
}

function registrationView({ registration }: Image): ImageView["registration"] {
  if (registration === undefined) return undefined;
  const { told, problem } = registration;
  return present({ told, problem }) as ImageView["registration"];
}

/** The id of a generation's operation. */
export function operationId(deployable: string, generation: number): string {
  return `${deployable}.${generation}`;
}

/** A claim with what its handle is doing. `permit` is signed by the caller of this function. */
export function claimView(
  claim: Claim,
  deployable: Deployable | undefined,
  permit?: string,
): ClaimView {
  const handle = heldHandle(claim, deployable);
  return present({
    id: claim.id,
    project: claim.project,
    state: claim.state,
    reason: claim.reason,
    resourceClass: claim.resourceClass,
    instance: claim.instance,
    host: claim.host,
    hostName: deployable?.hostName,
    deployable: claim.deployable,
    handle: claim.handle,
    fence: claim.fence,
    pciAddress: handle?.address ?? claim.pciAddress,
    image: claim.image,
    profile: claim.profile,
    group: claim.group,
    plugged: handle?.state === "plugged",
    attachment: handle?.attachment && { ...handle.attachment },
    plugError: handle?.error,
    permit,
    operation: operationOf(claim, deployable),
    deadline: optionalTime(claim.deadline),
    leaseUntil: optionalTime(claim.leaseUntil),
    createdAt: timeOf(claim.createdAt),
    updatedAt: timeOf(claim.updatedAt),
  }) as ClaimView;
}

function heldHandle(claim: Claim, deployable: Deployable | undefined): Handle | undefined {
  const handle = deployable?.handles[claim.handle ?? ""];
  return handle?.holder?.claim === claim.id ? handle : undefined;
}

function operationOf(claim: Claim, deployable: Deployable | undefined): string | undefined {
  if (deployable === undefined || heldHandle(claim, deployable) === undefined) return undefined;
  return isPending(deployable) ? operationId(deployable.id, deployable.imageGeneration) : undefined;
}

/** A deployable; claims of other projects are counted as taken but not named. */
export function deployableView(
  deployable: Deployable,
  viewer: { readonly project: string; readonly isAdmin: boolean },
): DeployableView {
  const { state, reason } = stateOf(deployable);
  const notOffered = [...notOfferable(deployable)];
  return present({
    id: deployable.id,
    host: deployable.host,
    hostName: deployable.hostName,
    device: deployable.device,
    region: deployable.region,
    kind: deployable.kind,
    vendor: deployable.vendor,
    product: deployable.product,
    driver: deployable.driver,
    layout: deployable.layout,
    address: deployable.address,
    numaNode: deployable.numaNode,
    resourceClass: deployable.resourceClass,
    traits: [...traitsWith(deployable, undefined)].toSorted(),
    interfaceId: deployable.interfaceId,
    programmable: deployable.programmable,
    scrubMethod: deployable.scrubMethod,
    sharing: deployable.sharing,
    state,
    reason,
    offered: notOffered.length === 0,
    notOffered,
    health: { ...deployable.health },
    loaded: loadedView(deployable, viewer),
    clean: deployable.clean,
    imageGeneration: deployable.imageGeneration,
    revision: deployable.revision,
    handles: Object.entries(deployable.handles).map(([name, handle]) =>
      handleView(name, handle, viewer),
    ),
    updatedAt: timeOf(deployable.updatedAt),
  }) as DeployableView;
}

/**
 * Which image another tenant runs, or left on a card that is not scrubbed yet or only reset, is that
 * tenant's business; its function id is a public trait. What may stay loaded is no secret.
 */
function loadedView(
  deployable: Deployable,
  viewer: { readonly project: string; readonly isAdmin: boolean },
): DeployableView["loaded"] {
  const { functionId, ...facts } = deployable.loaded;
  const isShown = viewer.isAdmin || isOwnLoad(deployable, viewer.project);
  return isShown ? present({ functionId, ...facts }) : { functionId };
}

function isOwnLoad({ handles, lastProject, loaded, wish }: Deployable, project: string): boolean {
  const holders = Object.values(handles).flatMap((one) => one.holder ?? []);
  if (holders.length > 0) return holders.every((holder) => holder.project === project);
  return lastProject === project || (wish.image?.keep === true && wish.image.id === loaded.imageId);
}

function handleView(
  name: string,
  handle: Handle,
  viewer: { readonly project: string; readonly isAdmin: boolean },
): DeployableView["handles"][number] {
  const { holder } = handle;
  const isOwn = viewer.isAdmin || holder?.project === viewer.project;
  return present({
    name,
    type: handle.type,
    pciAddress: handle.address,
    iommuGroup: handle.iommuGroup,
    attachable: handle.attachable,
    reason: handle.reason,
    fence: handle.fence,
    state: handle.state,
    claim: isOwn ? holder?.claim : undefined,
    error: isOwn ? handle.error : undefined,
  }) as DeployableView["handles"][number];
}
