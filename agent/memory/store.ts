import { join } from "node:path";
import type * as z from "zod/mini";
import { Fault, isFault } from "#domain/faults";
import { uuid } from "#protocol/wire/shapes";
import { type Files, privateFolder, readDurable, writeDurably } from "../host/files.ts";
import { isKernelError } from "../host/sysfs-port.ts";
import type { Failpoint } from "../runtime.ts";
import { type Journal, journalSchema } from "./journal.ts";
import { type DeployableMarks, marksSchema } from "./marks.ts";

/** Where records live and how they are written. */
export interface RecordFolder {
  readonly stateDir: string;
  readonly files: Files;
  readonly failpoint: Failpoint;
}

/** How much of a record survived: `previous` = the newest copy is damaged, the one before is whole. */
type Survival = "none" | "current" | "previous" | "damaged";

interface Kept<Value> {
  readonly value: Value | undefined;
  readonly survival: Survival;
}

/** The two durable records of one deployable. Saves reject with DISK_FULL and change nothing then. */
export interface Records {
  readonly marks: Kept<DeployableMarks>;
  readonly journal: Kept<Journal>;
  readonly saveMarks: (marks: DeployableMarks) => Promise<void>;
  readonly saveJournal: (journal: Journal) => Promise<void>;
}

const kinds = ["marks", "journal"] as const;
type Kind = (typeof kinds)[number];

/** Makes the folders of all records. */
export async function prepareFolder({ stateDir, files }: RecordFolder): Promise<void> {
  for (const kind of kinds) await privateFolder(join(stateDir, kind), files);
}

/** Reads what is kept of a deployable and hands out its writers. */
export async function openRecords(folder: RecordFolder, deployable: string): Promise<Records> {
  const path = (kind: Kind) => join(folder.stateDir, kind, `${deployable}.json`);
  const save = (kind: Kind) => async (value: DeployableMarks | Journal) => {
    await folder.failpoint(`${kind}:before`);
    await written(() => writeDurably(path(kind), JSON.stringify(value), folder.files));
    await folder.failpoint(`${kind}:after`);
  };
  return {
    marks: await load(path("marks"), marksSchema, folder.files),
    journal: await load(path("journal"), journalSchema, folder.files),
    saveMarks: save("marks"),
    saveJournal: save("journal"),
  };
}

/** Deployables of which anything is kept. */
export async function knownDeployables({
  stateDir,
  files,
}: RecordFolder): Promise<readonly string[]> {
  const lists = await Promise.all(kinds.map((kind) => files.readdir(join(stateDir, kind))));
  const ids = lists.flat().map((file) => file.split(".")[0] ?? "");
  return [...new Set(ids)].filter((id) => uuid.safeParse(id).success).sort();
}

async function load<Value>(
  path: string,
  schema: z.ZodMiniType<Value>,
  files: Files,
): Promise<Kept<Value>> {
  try {
    const durable = await readDurable(path, files);
    if (durable === undefined) return { value: undefined, survival: "none" };
    const value = schema.parse(JSON.parse(durable.text));
    // A crash between the two renames of a write leaves only the version before: that is the truth.
    const newest = durable.version === "current" || !(await exists(path, files));
    return { value, survival: newest ? "current" : "previous" };
  } catch (error) {
    if (isKernelError(error) && !isFault(error)) throw error;
    return { value: undefined, survival: "damaged" };
  }
}

/** A disk that cannot be written must stop the agent from touching hardware, not count as a try. */
async function written(write: () => Promise<void>): Promise<void> {
  try {
    await write();
  } catch (cause) {
    if (isFault(cause)) throw cause;
    throw new Fault("JOURNAL_UNREADABLE", "the state folder cannot be written", {}, { cause });
  }
}

async function exists(path: string, files: Files): Promise<boolean> {
  try {
    await files.lstat(path);
    return true;
  } catch {
    return false;
  }
}
