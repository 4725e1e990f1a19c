import { createHash } from "node:crypto";
import type { Deployable } from "#domain/deployable";
import type { Image } from "#domain/image";
import type { Item, Key, Write } from "#store/table";
import type { Driver } from "../../agent/drivers/driver.ts";
import type { Invariant } from "./judge/invariants.ts";

/** The deployable of a row as it is before a write. */
export type Known = (id: string) => Deployable | undefined;

/** A defect that is planted into one dependency, to prove that the simulator would find it. */
export interface Plant {
  /** What the table does instead of what it is asked. */
  readonly writes?: (writes: readonly Write[], known: Known) => readonly Write[];
  /** What the disk keeps instead of what is written. */
  readonly written?: (path: string, text: string) => string;
  /** What the cloud hears instead of what an agent says. */
  readonly frame?: (text: string) => string;
  readonly driver?: (driver: Driver) => Driver;
  readonly losesPushes?: true;
  readonly noSweep?: true;
}

/** A plant with the invariants that it may break; any of them counts as found. */
export interface Planted {
  readonly what: string;
  readonly breaks: readonly Invariant[];
  /** Ops that a run needs to show it, when 200 are over too soon. */
  readonly ops?: number;
  /** A fresh one for each run. */
  readonly plant: () => Plant;
}

type Put = Extract<Write, { kind: "put" }>;

const isOf = (write: Write, type: string): write is Put =>
  write.kind === "put" && write.item["type"] === type;
const isDeployable = (write: Write): write is Put => isOf(write, "deployable");

type Change = (deployable: Deployable, item: Item & Key, before: Deployable) => Item & Key;

/** Changes every deployable's row on its way into the table. */
function rows(change: Change): NonNullable<Plant["writes"]> {
  return (writes, known) =>
    writes.map((write) => {
      if (!isDeployable(write)) return write;
      const is = write.item["value"] as unknown as Deployable;
      const before = known(is.id);
      return before === undefined ? write : { ...write, item: change(is, write.item, before) };
    });
}

function withValue(item: Item & Key, value: Deployable): Item & Key {
  return { ...item, value: value as unknown as NonNullable<Item["value"]> };
}

/** A record of the agent with its content changed and its seal renewed. */
function record(path: string, text: string, change: (value: Record<string, unknown>) => object) {
  if (!path.endsWith(".json.new")) return text;
  const content = text.slice(text.indexOf("\n") + 1);
  const changed = JSON.stringify(change(JSON.parse(content) as Record<string, unknown>));
  const digest = createHash("sha256").update(changed).digest("hex");
  return `gatehouse 1 sha256 ${digest}\n${changed}`;
}

function withoutIf(write: Write): Write {
  if (write.kind === "check") return write;
  const { if: _, ...rest } = write;
  return rest;
}

const releaseKeepsFence: Change = (is, item, before) => {
  const handles = Object.entries(is.handles).map(([name, handle]) => {
    const was = before.handles[name];
    const isReleased = was?.holder !== undefined && handle.holder === undefined;
    return [name, isReleased ? { ...handle, fence: was.fence } : handle] as const;
  });
  return withValue(item, { ...is, handles: Object.fromEntries(handles) });
};

const staysPooled: Change = (is, item, before) => {
  const isNewlyDirty = before.clean && !is.clean && is.present && is.hostOnline;
  if (!isNewlyDirty || item["gsi1pk"] !== undefined) return item;
  return { ...item, gsi1pk: `FREE#${is.resourceClass}#0`, gsi1sk: `-#-#${is.id}` };
};

function neverRefused(write: Put): Put {
  const value = write.item["value"] as unknown as Image;
  if (value.state !== "rejected") return write;
  const active: unknown = { ...value, state: "active" };
  return { ...write, item: { ...write.item, value: active as NonNullable<Item["value"]> } };
}

function unlisted(write: Put): Put {
  const { gsi3pk: _pk, gsi3sk: _sk, ...item } = write.item;
  return { ...write, item };
}

/** A report under way says what only its end may say. */
function saidEarly(text: string): string {
  const message = JSON.parse(text) as {
    type: string;
    phase?: string;
    handles?: Record<string, { state: string }>;
  };
  if (message.type !== "report" || message.phase !== "scrubbing") return text;
  const handles = Object.entries(message.handles ?? {}).map(([name, handle]) => [
    name,
    { ...handle, clean: handle.state === "unplugged" },
  ]);
  const said = { phase: "ready", clean: true, handles: Object.fromEntries(handles) as object };
  return JSON.stringify({ ...message, ...said });
}

const isAbout = (write: Write, prefix: string): boolean =>
  (write.kind === "put" ? write.item.pk : write.key.pk).startsWith(prefix);

/** Every planted defect by its name on the command line. */
export const plants: Readonly<Record<string, Planted>> = {
  "claim-unconditional": {
    what: "a deployable's row is written without its condition",
    breaks: ["I1", "I2", "I4", "own"],
    plant: () => ({
      writes: (writes) => writes.map((one) => (isDeployable(one) ? withoutIf(one) : one)),
    }),
  },
  "marks-without-fence": {
    what: "the agent's marks do not store the fence",
    breaks: ["ahead"],
    plant: () => ({
      written: (path, text) =>
        path.includes("/marks/") ? record(path, text, (marks) => ({ ...marks, fences: {} })) : text,
    }),
  },
  "journal-after-act": {
    what: "the journal says nothing of an act before it is done",
    breaks: ["ahead"],
    plant: () => ({
      written: (path, text) =>
        path.includes("/journal/")
          ? record(path, text, (journal) => {
              const { operation, ...rest } = journal;
              const stage = (operation as { stage?: string } | undefined)?.stage;
              return stage === "intended" ? rest : journal;
            })
          : text,
    }),
  },
  "release-keeps-fence": {
    what: "a release does not raise the fence",
    breaks: ["I2"],
    plant: () => ({ writes: rows(releaseKeepsFence) }),
  },
  "push-and-sweep-lost": {
    what: "the stream loses every push and the sweep never comes",
    breaks: ["I7", "alive"],
    plant: () => ({ losesPushes: true, noSweep: true }),
  },
  "clean-forgotten": {
    what: "the agent says that a handle or card is clean and does nothing for it",
    breaks: ["scrubbed", "tenant"],
    plant: () => ({
      driver: (driver) => ({
        ...driver,
        scrub: async () => undefined,
        cleanHandle: async () => undefined,
      }),
    }),
  },
  "grant-without-heartbeat": {
    what: "a grant does not check the host's heartbeat",
    breaks: ["I4"],
    plant: () => ({
      writes: (writes) => writes.filter((one) => one.kind !== "check" || one.key.sk !== "BEAT"),
    }),
  },
  "quota-twice": {
    what: "a release returns the quota twice",
    breaks: ["I3"],
    plant: () => ({
      writes: (writes) =>
        writes.map((write) =>
          write.kind === "update" && isAbout(write, "QUOTA#")
            ? {
                ...write,
                changes: write.changes.map((one) =>
                  one.op === "add" && one.value > 0 ? { ...one, value: 2 * one.value } : one,
                ),
              }
            : write,
        ),
    }),
  },
  "once-forgotten": {
    what: "the row that remembers an idempotency key is not written",
    breaks: ["once"],
    plant: () => ({ writes: (writes) => writes.filter((one) => !isAbout(one, "IDEMPOTENCY#")) }),
  },
  "pool-while-dirty": {
    what: "a row stays in the pool when its card becomes dirty",
    breaks: ["I4"],
    plant: () => ({ writes: rows(staysPooled) }),
  },
  "clean-said-early": {
    what: "a report calls a card clean while its scrub is under way",
    breaks: ["scrubbed", "tenant", "I4"],
    plant: () => ({ frame: saidEarly }),
  },
  "pointer-left": {
    what: "the end of a claim leaves its instance's pointer behind",
    breaks: ["I8"],
    plant: () => ({
      writes: (writes) =>
        writes.filter((one) => one.kind !== "delete" || !isAbout(one, "INSTANCE#")),
    }),
  },
  "refusal-lost": {
    what: "an image that is refused is written as active",
    breaks: ["verified"],
    plant: () => ({
      writes: (writes) => writes.map((one) => (isOf(one, "image") ? neverRefused(one) : one)),
    }),
  },
  "judgement-forgotten": {
    what: "no list says that a judgement was cut off",
    breaks: ["alive"],
    ops: 1000,
    plant: () => ({
      writes: (writes) => writes.map((one) => (isOf(one, "image") ? unlisted(one) : one)),
    }),
  },
  "receipt-replaced": {
    what: "a receipt may replace one of the same number",
    breaks: ["chain"],
    plant: () => ({
      writes: (writes) =>
        writes.map((one) => {
          if (one.kind !== "put" || one.item["type"] !== "receipt") return one;
          return withoutIf({ ...one, item: { ...one.item, sk: "RECEIPT#000000000001" } });
        }),
    }),
  },
};
