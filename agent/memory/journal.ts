import * as z from "zod/mini";
import { attachment, counter, plugTarget, scrubMethod, uuid } from "#protocol/wire/shapes";

/** An act on hardware that was begun: written before the touch, again when the act returned. */
const operation = z.object({
  id: uuid,
  bootId: uuid,
  kind: z.enum(["program", "scrub"]),
  stage: z.enum(["intended", "acted"]),
  generation: counter,
  /** How a scrub makes clean; what an erase leaves is blank. */
  method: z.exactOptional(scrubMethod),
  /** What the card said before the touch. */
  before: z.nullable(uuid),
  /** The image of a program. */
  image: z.exactOptional(z.object({ id: uuid, sha256: z.string(), functionId: uuid })),
  /** Milliseconds since the epoch by the host's clock. */
  at: counter,
});
export type Operation = z.infer<typeof operation>;

/** What this agent did to one handle and may therefore undo; nothing else is ever undone. */
const handleRecord = z.object({
  /** Bound to vfio-pci by us, and what was there before (host/vfio.ts). Void on another boot. */
  bound: z.exactOptional(
    z.object({
      address: z.string(),
      previousDriver: z.nullable(z.string()),
      previousOverride: z.nullable(z.string()),
    }),
  ),
  /** Plugged by us, or about to be; `attachment` comes with success. */
  plug: z.exactOptional(
    z.object({
      bootId: uuid,
      claim: uuid,
      target: plugTarget,
      attachment: z.exactOptional(attachment),
    }),
  ),
  /** A plug or unplug by permit, as long as claim, fence and the cloud's own word stay the same. */
  local: z.exactOptional(
    z.object({
      claim: uuid,
      project: z.string(),
      fence: counter,
      plugged: z.boolean(),
      target: z.exactOptional(plugTarget),
      over: z.boolean(),
    }),
  ),
});
export type HandleRecord = z.infer<typeof handleRecord>;

/** Intents of one deployable (host.md §3.6). Hardware is the truth; this only explains it. */
export const journalSchema = z.object({
  bootId: uuid,
  operation: z.exactOptional(operation),
  handles: z.record(z.string(), handleRecord),
  /** An operation passed its deadline in this boot: nothing is touched until it ended. */
  stuck: z.exactOptional(z.object({ reason: z.string() })),
});
export type Journal = z.infer<typeof journalSchema>;

/** A journal without intents. */
export function emptyJournal(bootId: string): Journal {
  return { bootId, handles: {} };
}

/**
 * The journal as it may be used under `bootId`. After a reboot drivers and running operations are
 * void; what was plugged stays to be confirmed, since a guest may have come back with its device.
 */
export function underBoot(journal: Journal, bootId: string): Journal {
  if (journal.bootId === bootId) return journal;
  const handles = Object.entries(journal.handles).flatMap(([name, { plug, local }]) =>
    plug === undefined && local === undefined
      ? []
      : [[name, { ...(plug && { plug }), ...(local && { local }) }] as const],
  );
  return { bootId, handles: Object.fromEntries(handles) };
}

/** The journal with one handle's record replaced; an empty record is removed. */
export function withHandle(journal: Journal, name: string, record: HandleRecord): Journal {
  const { [name]: _, ...others } = journal.handles;
  const empty = Object.keys(record).length === 0;
  return { ...journal, handles: empty ? others : { ...others, [name]: record } };
}
