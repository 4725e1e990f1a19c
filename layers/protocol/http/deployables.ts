import * as z from "zod/mini";
import { listOf, name, page, time, traitName, trouble, uuid } from "./common.ts";

const handle = z.object({
  name: z.string(),
  type: z.enum(["PF", "VF", "MDEV"]),
  pciAddress: z.string(),
  iommuGroup: z.optional(z.int()),
  attachable: z.boolean(),
  reason: z.optional(z.string()),
  fence: z.int(),
  state: z.enum(["free", "claimed", "plugged", "releasing"]),
  /** Only for the claim's own project and for admins. */
  claim: z.optional(uuid),
  error: z.optional(trouble),
});

export const deployable = z.object({
  id: uuid,
  host: uuid,
  hostName: z.string(),
  device: uuid,
  region: z.string(),
  kind: z.string(),
  vendor: z.string(),
  product: z.string(),
  driver: z.string(),
  layout: z.string(),
  address: z.string(),
  numaNode: z.optional(z.int()),
  resourceClass: z.string(),
  traits: z.array(z.string()),
  interfaceId: z.optional(z.string()),
  programmable: z.boolean(),
  scrubMethod: z.optional(z.string()),
  sharing: z.enum(["none", "project", "any"]),
  state: z.enum(["offline", "idle", "programming", "ready", "scrubbing", "faulty", "disabled"]),
  reason: z.optional(z.string()),
  offered: z.boolean(),
  notOffered: z.array(z.string()),
  health: z.object({ state: z.string(), reason: z.optional(z.string()) }),
  loaded: z.object({
    functionId: z.nullable(z.string()),
    imageId: z.optional(z.string()),
    sha256: z.optional(z.string()),
  }),
  clean: z.boolean(),
  imageGeneration: z.int(),
  revision: z.int(),
  handles: z.array(handle),
  updatedAt: time,
});
export type DeployableView = z.infer<typeof deployable>;

export const deployableQuery = z.strictObject({
  ...page,
  host: z.optional(uuid),
  resourceClass: z.optional(traitName),
  state: z.optional(z.string()),
});
export const deployableList = listOf(deployable);

/** A program call: `force` programs even what is loaded; `replug` unplugs and plugs a running guest. */
export const programRequest = z.strictObject({
  image: uuid,
  force: z.optional(z.boolean()),
  replug: z.optional(z.boolean()),
});
export type ProgramRequest = z.infer<typeof programRequest>;

/** An operator takes a handle from a silent host; audited, stays dirty until proven clean. */
export const takeover = z.strictObject({
  handle: name,
  reason: z.string().check(z.minLength(3), z.maxLength(1024)),
});

export const operation = z.object({
  id: z.string(),
  deployable: uuid,
  imageGeneration: z.int(),
  kind: z.enum(["program", "scrub"]),
  image: z.optional(uuid),
  claim: z.optional(uuid),
  phase: z.string(),
  percent: z.int(),
  state: z.enum(["running", "succeeded", "failed", "superseded"]),
  error: z.optional(trouble),
  startedAt: time,
  updatedAt: time,
});
export type OperationView = z.infer<typeof operation>;
export const operationQuery = z.strictObject(page);
export const operationList = listOf(operation);

export const receipt = z.object({
  deployable: uuid,
  number: z.int(),
  previous: z.string(),
  kind: z.enum(["program", "scrub"]),
  imageGeneration: z.int(),
  sha256: z.optional(z.string()),
  functionId: z.nullable(z.string()),
  fences: z.record(z.string(), z.int()),
  bootId: z.string(),
  at: time,
  signature: z.string(),
  digest: z.string(),
  /** The host's key that signed it: SPKI, DER in base64. */
  publicKey: z.optional(z.string()),
});
export type ReceiptView = z.infer<typeof receipt>;
export const receiptQuery = z.strictObject(page);
export const receiptList = listOf(receipt);

const device = z.object({
  id: uuid,
  host: uuid,
  hostName: z.string(),
  cardId: z.string(),
  kind: z.string(),
  vendor: z.string(),
  product: z.string(),
  pciVendor: z.string(),
  pciDevice: z.string(),
  address: z.string(),
  numaNode: z.optional(z.int()),
  driver: z.string(),
  layout: z.string(),
  present: z.boolean(),
  deployables: z.array(uuid),
  updatedAt: time,
});
export type DeviceView = z.infer<typeof device>;
export const deviceView = device;
export const deviceQuery = z.strictObject({ ...page, host: z.optional(uuid) });
export const deviceList = listOf(device);
