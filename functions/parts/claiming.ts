import { Fault } from "#domain/faults";
import type { ActiveImage } from "#domain/image";
import type { Requirement } from "#domain/matching";
import { readGroup } from "#domain/profile";
import { customName } from "#domain/traits";
import type { CreateClaim } from "#protocol/http/claims";
import { isUuid } from "#protocol/uuid";
import { findDeployable } from "#store/deployables";
import type { GrantGroup } from "#store/grant";
import { findHost } from "#store/hosts";
import { readProfile } from "#store/named";
import type { Store } from "#store/store";
import type { Catalogue, Viewer } from "./catalogue.ts";

/** What resolving a request needs. */
export interface Resolving {
  readonly store: Store;
  readonly catalogue: Catalogue;
  /** Host ids by node name, remembered: a name never changes while claims exist. */
  readonly hosts: Map<string, string>;
}

/** Several ways to satisfy a request, in order of preference: one per image of the wanted type. */
export type Alternatives = readonly (readonly GrantGroup[])[];

/**
 * Turns a claim request into groups with every name resolved (design §8). A `type` gives one
 * alternative per active image of it, newest first. UNKNOWN_HOST, UNKNOWN_IMAGE, IMAGE_NOT_ACTIVE,
 * UNKNOWN_TYPE, UNKNOWN_PROFILE, UNKNOWN_DEPLOYABLE; INVALID_REQUEST when nothing says what is wanted.
 */
export async function resolveClaim(
  resolving: Resolving,
  request: CreateClaim,
  viewer: Viewer,
): Promise<Alternatives> {
  if (request.profile !== undefined) {
    checkAlone(request);
    const host = await hostId(resolving, request.host);
    return [await profileGroups(resolving, request.profile, { viewer, host })];
  }
  const [host, images] = await Promise.all([
    hostId(resolving, request.host),
    wantedImages(resolving, request, viewer),
  ]);
  const place = await placeOf(resolving, request, host);
  return images.map((image) => {
    const resourceClasses = place.resourceClasses ?? classesOf(image);
    if (resourceClasses.length === 0) throw nothingWanted();
    const need: Requirement = {
      project: viewer.project,
      resourceClasses,
      host: place.host,
      deployable: request.deployable,
      required: request.traits ?? [],
      forbidden: request.forbiddenTraits ?? [],
      image,
    };
    return [{ need, count: request.count ?? 1, image }];
  });
}

/** What a profile says already; a request that says it too would be ignored in silence. */
const saidByProfile = [
  "resourceClass",
  "count",
  "image",
  "type",
  "traits",
  "forbiddenTraits",
  "deployable",
] as const;

function checkAlone(request: CreateClaim): void {
  const field = saidByProfile.find((one) => request[one] !== undefined);
  if (field === undefined) return;
  const expected = "host, instance and leaseSeconds beside a profile";
  throw new Fault("INVALID_REQUEST", `${field}: expected only ${expected}`, { field, expected });
}

function nothingWanted(): Fault {
  const expected = "one of resourceClass, image, type, profile or deployable";
  return new Fault("INVALID_REQUEST", `resourceClass: expected ${expected}`, {
    field: "resourceClass",
    expected,
  });
}

async function hostId(
  { store, hosts }: Resolving,
  idOrName: string | undefined,
): Promise<string | undefined> {
  if (idOrName === undefined || isUuid(idOrName)) return idOrName;
  const known = hosts.get(idOrName);
  if (known !== undefined) return known;
  const { id } = await findHost(store, idOrName);
  hosts.set(idOrName, id);
  return id;
}

/** `undefined` = no programming: the mail's rule for a claim without type and image. */
async function wantedImages(
  { catalogue }: Resolving,
  request: CreateClaim,
  viewer: Viewer,
): Promise<readonly (ActiveImage | undefined)[]> {
  const { image: id, type } = request;
  if (id !== undefined) {
    const image = await catalogue.get(id, viewer);
    if (type !== undefined && image.type !== type) {
      throw new Fault("INVALID_REQUEST", `type: image ${id} is of type ${image.type}`, {
        field: "type",
        expected: image.type,
      });
    }
    return [image];
  }
  if (type === undefined) return [undefined];
  const found = await catalogue.find(viewer, (image) => image.type === type);
  if (found.length === 0) {
    throw new Fault("UNKNOWN_TYPE", `no active image of type ${type}`, { field: "type" });
  }
  return found;
}

async function placeOf(
  { store }: Resolving,
  request: CreateClaim,
  host: string | undefined,
): Promise<{ readonly host?: string; readonly resourceClasses?: readonly string[] }> {
  const { resourceClass, deployable: id } = request;
  const asked = resourceClass === undefined ? {} : { resourceClasses: [resourceClass] };
  if (id === undefined) return host === undefined ? asked : { ...asked, host };
  const deployable = await findDeployable(store, id);
  return { resourceClasses: [deployable.resourceClass], ...asked, host: host ?? deployable.host };
}

/** The classes a maker's cards have: a whole function or a virtual one. */
function classesOf(image: ActiveImage | undefined): readonly string[] {
  if (image === undefined) return [];
  return ["PF", "VF"].map((kind) => customName("FPGA", image.vendor, kind));
}

async function profileGroups(
  { store, catalogue }: Resolving,
  name: string,
  { viewer, host }: { readonly viewer: Viewer; readonly host: string | undefined },
): Promise<readonly GrantGroup[]> {
  const { groups } = await readProfile(store, name);
  const resolved = await Promise.all(
    groups.map(async (raw, index) => {
      const group = readGroup(raw, index);
      const image = await profileImage(catalogue, group, viewer);
      return group.resources.map(({ resourceClass, count }) => ({
        need: {
          project: viewer.project,
          resourceClasses: [resourceClass],
          host,
          required: group.required,
          forbidden: group.forbidden,
          image,
        },
        count,
        image,
      }));
    }),
  );
  return resolved.flat();
}

async function profileImage(
  catalogue: Catalogue,
  group: { readonly image?: string; readonly functionId?: string },
  viewer: Viewer,
): Promise<ActiveImage | undefined> {
  if (group.image !== undefined) return await catalogue.get(group.image, viewer);
  if (group.functionId === undefined) return undefined;
  const wanted = group.functionId;
  const found = await catalogue.find(viewer, (image) => image.functionId === wanted);
  const [image, ...others] = found;
  if (image === undefined || others.length > 0) {
    throw new Fault(
      "UNKNOWN_IMAGE",
      `function ${wanted} needs exactly one image, has ${found.length}`,
    );
  }
  return image;
}
