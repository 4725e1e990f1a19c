import { maxCount } from "#domain/claim";
import type { Identity } from "../parts/identity.ts";
import { refusal } from "./errors.ts";
import { asUuid, told, uuidArgument } from "./uuids.ts";

/** What a patch wants of one accelerator request. */
export type Patch =
  | { readonly id: string; readonly op: "remove" }
  | {
      readonly id: string;
      readonly op: "add";
      readonly hostName: string;
      readonly provider: string;
      readonly instance: string;
      /** The project it is to belong to, when an admin says so. */
      readonly project: string | undefined;
    };

interface Operation {
  readonly path: string;
  readonly op: string;
  readonly value: unknown;
}

/** Who patches and in which minor version: `/project_id` is there from 2.1, for admins. */
interface Patching {
  readonly caller: Identity;
  readonly minor: number;
}

const projectPath = "/project_id";
const bindPaths = ["/hostname", "/device_rp_uuid", "/instance_uuid"] as const;
const projectMinor = 1;

function cannot(reason: string): Error {
  return refusal(400, `Couldn't apply patch. Reason: ${reason}`);
}

/** Reads `{"<arq uuid>": [operations]}`: each request is judged by its own operations (cyborg.md §1.3). */
export function patchesOf(body: unknown, by: Patching): readonly Patch[] {
  if (typeof body !== "object" || body === null || Array.isArray(body)) {
    throw cannot("The patch must be an object of ARQ uuids");
  }
  const entries = Object.entries(body);
  if (entries.length === 0) throw cannot("No ARQ is named");
  if (entries.length > maxCount) throw cannot(`At most ${maxCount} ARQs can be patched at once`);
  const patches = entries.map(([id, operations]) => patchOf(uuidArgument(id), operations, by));
  if (new Set(patches.map(({ id }) => id)).size < patches.length) {
    throw cannot("An ARQ is named twice");
  }
  return patches;
}

function patchOf(id: string, given: unknown, by: Patching): Patch {
  const operations = operationsOf(given);
  const [first] = operations;
  const isUniform = operations.every(({ op }) => op === first?.op);
  if (!isUniform || (first?.op !== "add" && first?.op !== "remove")) {
    throw cannot("Every op must be add or remove");
  }
  for (const { path } of operations) checkPath(path, by);
  return first.op === "remove" ? { id, op: "remove" } : addition(id, operations);
}

function operationsOf(given: unknown): readonly Operation[] {
  if (!Array.isArray(given)) throw cannot("Every ARQ needs a list of operations");
  return given.map((one: unknown) => {
    if (typeof one !== "object" || one === null) throw cannot("An operation must be an object");
    const { path, op, value } = one as Readonly<Record<string, unknown>>;
    if (typeof path !== "string" || typeof op !== "string") {
      throw cannot("An operation needs path and op");
    }
    return { path, op, value };
  });
}

function checkPath(path: string, { caller, minor }: Patching): void {
  if (path === projectPath) {
    if (minor < projectMinor) {
      const needed = `2.${projectMinor}`;
      throw refusal(
        406,
        `Request not acceptable. The minimal required API version should be ${needed}`,
      );
    }
    if (!caller.isAdmin) throw refusal(403, "Only an admin may set the project of an ARQ.");
    return;
  }
  if (!(bindPaths as readonly string[]).includes(path))
    throw cannot(`Invalid path in patch ${path}`);
}

function addition(id: string, operations: readonly Operation[]): Patch {
  const values = new Map(operations.map(({ path, value }) => [path, value]));
  const absent = bindPaths.filter((path) => (values.get(path) ?? "") === "");
  if (absent.length > 0) {
    throw cannot(`Fields absent in patch ${absent.map((path) => path.slice(1)).join(",")}`);
  }
  const project = values.get(projectPath);
  return {
    id,
    op: "add",
    hostName: hostOf(values.get("/hostname")),
    provider: uuidAt(values, "/device_rp_uuid"),
    instance: uuidAt(values, "/instance_uuid"),
    project: values.has(projectPath) ? projectOf(project) : undefined,
  };
}

function hostOf(value: unknown): string {
  if (typeof value === "string" && value.length <= 255) return value;
  throw cannot("hostname must be text of at most 255 characters");
}

/** What is no uuid would make every list that names it unreadable. */
function uuidAt(values: ReadonlyMap<string, unknown>, path: string): string {
  const uuid = asUuid(values.get(path));
  if (uuid !== undefined) return uuid;
  throw cannot(`${path.slice(1)}: Expected a uuid but received ${told(values.get(path))}.`);
}

function projectOf(value: unknown): string {
  const isName = typeof value === "string" && /^[A-Za-z0-9][\w.-]{0,63}$/.test(value);
  if (isName && value !== "system") return value;
  throw cannot("project_id must be the id of a project");
}
