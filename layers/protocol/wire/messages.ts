import * as z from "zod/mini";
import { card, cardReport } from "./card.ts";
import { inventoryDevice } from "./inventory.ts";
import { receipt } from "./receipt.ts";
import {
  attachment,
  counter,
  handleName,
  health,
  imageReference,
  label,
  loaded,
  marks,
  plugTarget,
  scrubMethod,
  uuid,
  wireError,
} from "./shapes.ts";

/** First message on a socket or poll session; the answer is `welcome`. */
export const hello = z.looseObject({
  type: z.literal("hello"),
  host: uuid,
  agentVersion: label,
  protocol: z.int(),
  bootId: uuid,
  capabilities: z.array(label).check(z.maxLength(64)),
  /** Digest of the last inventory the agent sent or would send. */
  inventoryHash: label,
  /** The agent's own highest counters; absent when it lost them. */
  marks: z.optional(marks),
});

/** One part of a full inventory; applied only when all `of` parts of one `id` have come. */
export const inventory = z.looseObject({
  type: z.literal("inventory"),
  id: uuid,
  epoch: counter,
  part: counter,
  of: z.int().check(z.minimum(1), z.maximum(64)),
  hash: label,
  devices: z.array(inventoryDevice).check(z.maxLength(64)),
});

export const phases = [
  "idle",
  "fetching",
  "verifying",
  "unplugging",
  "programming",
  "reading-back",
  "binding",
  "plugging",
  "scrubbing",
  "ready",
  "failed",
] as const;
export type Phase = (typeof phases)[number];

/** A handle as it is: `clean` = nothing of a tenant is left on it, proven under this boot id. */
export const reportedHandle = z.looseObject({
  fence: counter,
  state: z.enum(["unplugged", "plugged"]),
  clean: z.boolean(),
  attachment: z.optional(attachment),
  error: z.optional(wireError),
});

/** What is, of one deployable. `imageGeneration` is the one this report speaks of. */
export const report = z.looseObject({
  type: z.literal("report"),
  deployable: uuid,
  epoch: counter,
  seq: counter,
  bootId: uuid,
  imageGeneration: counter,
  /** The revision of the `desired` this report answers; 0 before any. */
  revision: counter,
  phase: z.enum(phases),
  percent: z.optional(z.int().check(z.minimum(0), z.maximum(100))),
  loaded,
  health,
  /** Scrubbed under this boot id and unchanged since. */
  clean: z.boolean(),
  handles: z.record(handleName, reportedHandle),
  receipt: z.optional(receipt),
  error: z.optional(wireError),
});

/** Sign of life; `digest` says which revision of each deployable's wish the agent works by. */
export const ping = z.looseObject({
  type: z.literal("ping"),
  epoch: counter,
  digest: z.record(uuid, counter),
  /** Of the newest inventory of this host, so that one that was lost is asked for. */
  inventoryHash: z.optional(label),
});

export const welcome = z.looseObject({
  type: z.literal("welcome"),
  epoch: counter,
  /** Milliseconds since the epoch by the cloud's clock. */
  serverTime: counter,
  floors: marks,
  /** The newest receipt of each chain; a deployable without receipts is absent. */
  chainHeads: z.record(uuid, z.looseObject({ number: counter, digest: label })),
  wants: z.array(z.enum(["inventory"])),
  /** Narrowest window of a reconnect, ms: a large fleet that was cut off must not come back at once. */
  reconnectMs: z.optional(counter),
});

/** The wish for one handle. Without `claim`, `clean: true` asks for its own clean-up (FLR). */
export const desiredHandle = z.looseObject({
  fence: counter,
  claim: z.optional(z.looseObject({ id: uuid, project: label, instance: z.optional(z.string()) })),
  plugged: z.boolean(),
  target: z.optional(plugTarget),
  clean: z.optional(z.boolean()),
});

/** The wish for one deployable: state, not a command; repeating it changes nothing. */
export const desired = z.looseObject({
  type: z.literal("desired"),
  deployable: uuid,
  revision: counter,
  imageGeneration: counter,
  /** Do this first under this generation. */
  scrub: z.optional(scrubMethod),
  /** Then have this loaded. Absent = whatever is loaded may stay. */
  image: z.optional(imageReference),
  /** Program even if the card already says this image is loaded. */
  force: z.optional(z.boolean()),
  /** Plugged handles may be unplugged live, and plugged again after the read back. */
  replug: z.optional(z.boolean()),
  handles: z.record(handleName, desiredHandle),
});

/** Sent after the table write; the agent may forget the report (epoch, seq) and all before it. */
export const ack = z.looseObject({
  type: z.literal("ack"),
  deployable: z.optional(uuid),
  epoch: counter,
  seq: counter,
});

export const pong = z.looseObject({
  type: z.literal("pong"),
  serverTime: counter,
  stale: z.array(uuid),
  wants: z.optional(z.array(z.enum(["inventory"]))),
});

/** The host is being drained: finish what runs, start nothing new that was not wished before. */
export const drain = z.looseObject({ type: z.literal("drain") });

/** A typed refusal; `about` is the type that was refused, when it could be read. */
export const errorMessage = z.looseObject({
  type: z.literal("error"),
  about: z.optional(z.string().check(z.maxLength(64))),
  error: wireError,
  serverTime: z.optional(counter),
});

export const agentMessage = z.discriminatedUnion("type", [
  hello,
  inventory,
  report,
  cardReport,
  ping,
  errorMessage,
]);
export const cloudMessage = z.discriminatedUnion("type", [
  welcome,
  desired,
  card,
  ack,
  pong,
  drain,
  errorMessage,
]);

export type Hello = z.infer<typeof hello>;
export type Inventory = z.infer<typeof inventory>;
export type Report = z.infer<typeof report>;
export type Ping = z.infer<typeof ping>;
export type Welcome = z.infer<typeof welcome>;
export type Desired = z.infer<typeof desired>;
export type DesiredHandle = z.infer<typeof desiredHandle>;
export type Ack = z.infer<typeof ack>;
export type Marks = z.infer<typeof marks>;
export type AgentMessage = z.infer<typeof agentMessage>;
export type CloudMessage = z.infer<typeof cloudMessage>;
