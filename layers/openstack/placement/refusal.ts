import * as z from "zod/mini";
import type { OpenStackReply } from "../cloud.ts";

/** Somebody else changed the provider or consumer since it was read: read again. */
const concurrentUpdate = "placement.concurrent_update";
const inUse: ReadonlySet<string> = new Set([
  "placement.inventory.inuse",
  "placement.resource_provider.inuse",
]);

const problems = z.object({
  errors: z.array(z.object({ code: z.optional(z.string()), detail: z.optional(z.string()) })),
});

/** What Placement would not do. `code` is its own (`placement.…`), `detail` its words. */
export class PlacementRefusal extends Error {
  readonly status: number;
  readonly code: string;
  readonly detail: string;

  constructor(status: number, code: string, detail: string) {
    super(`Placement answered ${status} ${code}: ${detail}`);
    this.name = "PlacementRefusal";
    this.status = status;
    this.code = code;
    this.detail = detail;
  }
}

/** Reads an answer that is no success; one without a JSON body still tells its status. */
export function refusalOf({ status, text }: OpenStackReply): PlacementRefusal {
  const known = problems.safeParse(jsonOrUndefined(text));
  const first = known.success ? known.data.errors[0] : undefined;
  const detail = (first?.detail ?? text).trim().slice(0, 500);
  return new PlacementRefusal(status, first?.code ?? "placement.undefined_code", detail);
}

/** The refusal of a write whose generation is not the newest. */
export function isConcurrentUpdate(error: unknown): boolean {
  return isRefusal(error, concurrentUpdate);
}

/** As Placement refuses it, when two reads of one provider show that it is being changed. */
export function concurrentUpdateOf(provider: string): PlacementRefusal {
  return new PlacementRefusal(409, concurrentUpdate, `provider ${provider} is being changed`);
}

/** The refusal to take away what allocations use. */
export function isInUse(error: unknown): boolean {
  return error instanceof PlacementRefusal && error.status === 409 && inUse.has(error.code);
}

/** A refusal with this code. */
export function isRefusal(error: unknown, code: string): error is PlacementRefusal {
  return error instanceof PlacementRefusal && error.code === code;
}

function jsonOrUndefined(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
