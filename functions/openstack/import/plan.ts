import type { Claim } from "#domain/claim";
import { type Deployable, heldHandles } from "#domain/deployable";
import { isFault } from "#domain/faults";
import type { Host } from "#domain/host";
import { type GroupRequest, type Profile, readGroup } from "#domain/profile";
import { sameContent } from "#domain/same";
import type { CyborgProfile, CyborgRequest, CyborgSite } from "#openstack/cyborg";

/** What we have beside Cyborg. */
export interface OwnSite {
  readonly hosts: readonly Host[];
  readonly deployables: readonly Deployable[];
  readonly profiles: readonly Profile[];
  /** Ids of claims that are here already. */
  readonly claims: ReadonlySet<string>;
  /** Uuids of the providers we would make, in the shape that is configured. */
  readonly providers: ReadonlySet<string>;
}

/**
 * One thing of a Cyborg site. `take`: it can be taken over; `there`: it is here already; `conflict`:
 * somebody has to decide; `left`: it stays behind, as it should.
 */
export type Step = {
  readonly kind: "profile" | "request" | "provider";
  readonly id: string;
  readonly text: string;
} & (
  | { readonly what: "take"; readonly profile: Profile }
  | { readonly what: "take"; readonly claim: Claim }
  | { readonly what: "there" | "conflict" | "left" }
);

/** What would be taken over, in the order in which it is: profiles before the requests made by them. */
export function planImport(cyborg: CyborgSite, own: OwnSite, now: number): readonly Step[] {
  const groups = new Map(cyborg.profiles.map(({ name, groups: asked }) => [name, asked]));
  return [
    ...cyborg.profiles.map((profile) => profileStep(profile, own, now)),
    ...cyborg.requests.map((request) => requestStep(request, own, { groups, now })),
    ...cyborg.deployables
      .filter(({ rp_uuid: uuid }) => uuid !== null && !own.providers.has(uuid))
      .map(({ name, rp_uuid: uuid }): Step => {
        const id = uuid ?? "";
        const text = `${name}: ours has another name; openstack resource provider delete ${id} once Cyborg is off and nothing is allocated on it`;
        return { kind: "provider", id, what: "left", text };
      }),
  ];
}

function profileStep(
  { uuid, name, description, groups }: CyborgProfile,
  own: OwnSite,
  now: number,
): Step {
  const about = { kind: "profile", id: uuid } as const;
  const known = own.profiles.find((one) => one.name === name);
  if (known !== undefined) {
    const isSame = sameContent(known.groups, groups);
    return isSame
      ? { ...about, what: "there", text: `${name} is here` }
      : { ...about, what: "conflict", text: `${name} is here with other groups` };
  }
  if (own.profiles.some(({ id }) => id === uuid)) {
    return { ...about, what: "conflict", text: `the uuid of ${name} belongs to another profile` };
  }
  const trouble = groupTrouble(groups);
  if (trouble !== undefined) return { ...about, what: "conflict", text: `${name}: ${trouble}` };
  const profile = { id: uuid, name, description: description ?? "", groups, createdAt: now };
  return { ...about, what: "take", text: name, profile };
}

/** Cyborg takes groups that nobody can serve; here they are refused (cyborg.md §1.2). */
function groupTrouble(groups: CyborgProfile["groups"]): string | undefined {
  try {
    groups.forEach(readGroup);
    return groups.length === 0 ? "it has no groups" : undefined;
  } catch (error) {
    if (isFault(error)) return error.message;
    throw error;
  }
}

interface Asking {
  readonly groups: ReadonlyMap<string, CyborgProfile["groups"]>;
  readonly now: number;
}

function requestStep(request: CyborgRequest, own: OwnSite, asking: Asking): Step {
  const about = { kind: "request", id: request.uuid } as const;
  if (own.claims.has(request.uuid)) return { ...about, what: "there", text: "is here" };
  if (request.state !== "Bound") {
    return { ...about, what: "left", text: `is ${request.state}: Nova makes a new one` };
  }
  const place = placeOf(request, own);
  if (typeof place === "string") return { ...about, what: "conflict", text: place };
  const claim = claimOf(request, place, asking);
  if (claim === undefined) {
    return { ...about, what: "conflict", text: "has no project, instance or resource provider" };
  }
  const text = `${place.handle} of ${place.deployable.hostName} at ${claim.pciAddress ?? ""}`;
  return { ...about, what: "take", text, claim };
}

interface PlaceFound {
  readonly deployable: Deployable;
  readonly handle: string;
}

/** The handle at the address that Cyborg gave to Nova, or why there is none to take. */
function placeOf(request: CyborgRequest, own: OwnSite): PlaceFound | string {
  const host = own.hosts.find(({ name }) => name === request.hostname);
  if (host === undefined) return `no host ${request.hostname ?? ""} has joined yet`;
  const address = addressOf(request.attach_handle_info ?? {});
  if (request.attach_handle_type !== "PCI" || address === undefined) {
    return `its handle is no PCI function: ${request.attach_handle_type ?? "none"}`;
  }
  for (const deployable of own.deployables.filter((one) => one.host === host.id && one.present)) {
    const found = Object.entries(deployable.handles).find(([, one]) => one.address === address);
    if (found === undefined) continue;
    const [handle, { holder }] = found;
    if (holder !== undefined) return `claim ${holder.claim} holds ${address} of ${host.name}`;
    if (deployable.sharing === "none" && heldHandles(deployable).length > 0) {
      return `another handle of the same card is held, and it is not shared`;
    }
    return { deployable, handle };
  }
  return `host ${host.name} has no function at ${address}`;
}

/** Cyborg writes its numbers with and without leading zeros (openstack.md §7). */
function addressOf(info: Readonly<Record<string, unknown>>): string | undefined {
  const part = (name: string, digits: number) => {
    const text = info[name];
    const isHex = typeof text === "string" && /^[0-9a-f]{1,8}$/i.test(text);
    return isHex ? text.toLowerCase().padStart(digits, "0") : undefined;
  };
  const [domain, bus] = [part("domain", 4), part("bus", 2)];
  const [device, fn] = [part("device", 2), part("function", 1)];
  if (domain === undefined || bus === undefined || device === undefined || fn === undefined) {
    return undefined;
  }
  return `${domain}:${bus}:${device}.${fn}`;
}

function claimOf(
  request: CyborgRequest,
  { deployable, handle }: PlaceFound,
  { groups, now }: Asking,
): Claim | undefined {
  const { project_id: project, instance_uuid: instance, device_rp_uuid: provider } = request;
  if (typeof project !== "string" || instance === null || provider === null) return undefined;
  const profile = request.device_profile_name ?? undefined;
  const group = request.device_profile_group_id ?? 0;
  const { resources, ...asks } = askedBy(groups.get(profile ?? ""), group);
  return {
    id: request.uuid,
    project,
    user: "cyborg",
    state: "Bound",
    resourceClass: resources[0]?.resourceClass ?? deployable.resourceClass,
    profile,
    group,
    asks,
    provider,
    hostName: deployable.hostName,
    instance,
    host: deployable.host,
    deployable: deployable.id,
    handle,
    pciAddress: deployable.handles[handle]?.address,
    createdAt: now,
    updatedAt: now,
  };
}

const nothingAsked: GroupRequest = { resources: [], required: [], forbidden: [] };

/** What the profile's group asks for; nothing where Cyborg has it no more, or it cannot be read. */
function askedBy(groups: CyborgProfile["groups"] | undefined, index: number): GroupRequest {
  const group = groups?.[index];
  if (group === undefined || groupTrouble([group]) !== undefined) return nothingAsked;
  return readGroup(group, index);
}
