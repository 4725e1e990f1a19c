import * as z from "zod/mini";
import { hypervisorNames } from "#domain/hypervisors";

/** Parts that several wire messages share. Objects are loose: unknown members are kept (design §6). */

/** The protocol number spoken here; a peer with another major number is refused in `hello`. */
export const protocolVersion = 1;

/** Largest text frame in bytes, both ways (API Gateway's frame limit, serverless.md §9). */
export const maxFrameBytes = 32 * 1024;

const text = (longest: number) => z.string().check(z.minLength(1), z.maxLength(longest));
export const counter = z.int().check(z.minimum(0));
export const uuid = z.string().check(z.regex(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/));
export const sha256 = z.string().check(z.regex(/^[0-9a-f]{64}$/));
export const md5 = z.string().check(z.regex(/^[0-9a-f]{32}$/));
/** `DDDD:BB:dd.f`, lower case, domain of 4 to 8 digits (host.md §1.1). */
export const pciAddress = z
  .string()
  .check(z.regex(/^[0-9a-f]{4,8}:[0-9a-f]{2}:[01][0-9a-f]\.[0-7]$/));
/** `vf0`, `pf`, `port1`: a handle's name inside its deployable. */
export const handleName = z.string().check(z.regex(/^[a-z][a-z0-9-]{0,31}$/));
export const label = text(128);

/** Fences by handle name. */
export const fences = z.record(handleName, counter);

/** What the cloud and the agent remember as the highest counters of one deployable. */
export const marks = z.record(uuid, z.looseObject({ imageGeneration: counter, fences }));

/** An Ed25519 manifest as it travels with an image (images/manifest.ts checks it). */
export const signedManifest = z.looseObject({
  statement: z.record(z.string(), z.union([z.string(), z.int()])),
  keyId: label,
  signature: z.string().check(z.maxLength(128)),
});

/** Everything the agent needs to fetch and judge an image; `url` is presigned and never logged. */
export const imageReference = z.looseObject({
  id: uuid,
  url: z.string().check(z.maxLength(4096)),
  size: counter,
  sha256,
  md5,
  format: z.enum(["gbs", "xclbin", "afi", "raw"]),
  vendor: label,
  type: label,
  interfaceId: z.optional(uuid),
  functionId: uuid,
  manifest: z.optional(signedManifest),
});
export type ImageReference = z.infer<typeof imageReference>;

/** Where a handle should be plugged: the plugin's name and what that plugin needs. */
export const plugTarget = z.looseObject({
  hypervisor: z.enum(hypervisorNames),
  /** The guest: a libvirt domain, or the name of a QMP socket. */
  domain: z.optional(label),
  /** For qemu: id of the empty pcie-root-port to take. Absent = any. */
  bus: z.optional(label),
});
export type PlugTarget = z.infer<typeof plugTarget>;

/** An address as Nova reads it: hex without 0x (host.md §4.1). */
export const handleInfo = z.looseObject({
  domain: z.string().check(z.regex(/^[0-9a-f]{4,8}$/)),
  bus: z.string().check(z.regex(/^[0-9a-f]{2}$/)),
  device: z.string().check(z.regex(/^[01][0-9a-f]$/)),
  function: z.string().check(z.regex(/^[0-7]$/)),
});

/** What a plugin returned: libvirt XML, a CDI device name, QEMU's device and port, Nova's handle. */
export const attachment = z.looseObject({
  hypervisor: label,
  pciAddress: z.optional(pciAddress),
  xml: z.optional(z.string().check(z.maxLength(8192))),
  cdi: z.optional(z.string().check(z.maxLength(512))),
  device: z.optional(label),
  bus: z.optional(label),
  handleInfo: z.optional(handleInfo),
});
export type Attachment = z.infer<typeof attachment>;

/** How a deployable is made clean between tenants (design §4). */
export const scrubMethod = z.enum(["erase", "reset"]);
export type ScrubMethod = z.infer<typeof scrubMethod>;

/** Health in the words of the deployable lifecycle; `unmonitored` is never called `ok`. */
export const health = z.looseObject({
  state: z.enum(["ok", "unmonitored", "degraded", "stuck", "gone"]),
  reason: z.optional(z.string().check(z.maxLength(512))),
});
export type Health = z.infer<typeof health>;

/** What the card says is loaded; `functionId` null = blank. */
export const loaded = z.looseObject({
  functionId: z.nullable(uuid),
  imageId: z.optional(uuid),
  sha256: z.optional(sha256),
});
export type Loaded = z.infer<typeof loaded>;

/** A fault as it travels: the code of `layers/domain/faults.ts` and a sentence. */
export const wireError = z.looseObject({
  code: label,
  message: z.string().check(z.maxLength(1024)),
  field: z.optional(z.string().check(z.maxLength(256))),
});
export type WireError = z.infer<typeof wireError>;
