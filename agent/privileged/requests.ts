import * as z from "zod/mini";
import { imageReference, pciAddress, sha256 } from "#protocol/wire/shapes";
import { toolNames } from "../host/tools.ts";

const path = z.string().check(z.maxLength(256));
const portId = z.int().check(z.minimum(0), z.maximum(3));
const engine = z.string().check(z.regex(/^\/dev\/dfl-fme\.\d{1,6}$/));
const slot = z.int().check(z.minimum(0), z.maximum(7));

/**
 * What is to be loaded: an image by what the cloud says of it, to be read and judged again by who
 * loads it, or one of the operator's blank images by its digest. Never bytes.
 */
const file = z.union([z.object({ image: imageReference }), z.object({ blank: sha256 })]);
export type FileReference = z.infer<typeof file>;

/**
 * Everything the privileged process does: a closed list, typed arguments, no command lines and no
 * environment (host.md §6.1). Paths are judged by {@link judgeWrite} and {@link mayRead}.
 */
export const helperRequest = z.discriminatedUnion("verb", [
  z.object({ verb: z.literal("read"), path }),
  z.object({
    verb: z.literal("write"),
    path,
    value: z.string().check(z.maxLength(128)),
    deadlineMs: z.int().check(z.minimum(1), z.maximum(600_000)),
  }),
  z.object({ verb: z.literal("holders"), node: path }),
  z.object({ verb: z.literal("program"), engine, port: portId, file }),
  z.object({ verb: z.literal("release"), engine, port: portId }),
  z.object({ verb: z.literal("assign"), engine, port: portId }),
  z.object({ verb: z.literal("has"), tool: z.enum(toolNames) }),
  z.object({ verb: z.literal("configure"), address: pciAddress, file }),
  z.object({ verb: z.literal("program-user"), address: pciAddress, file }),
  z.object({ verb: z.literal("reset-user"), address: pciAddress }),
  z.object({ verb: z.literal("describe-afi"), address: pciAddress }),
  z.object({
    verb: z.literal("load-afi"),
    slot,
    agfi: z.string().check(z.regex(/^agfi-[0-9a-f]{17}$/)),
  }),
  z.object({ verb: z.literal("clear-afi"), slot }),
]);
export type HelperRequest = z.infer<typeof helperRequest>;

/** A request on its line; the answer has the same number. */
export const helperCall = z.object({ id: z.int(), request: helperRequest });

/** A kernel's errno and a fault's code are told apart, because callers do. */
export const helperAnswer = z.union([
  z.object({ id: z.int(), value: z.unknown() }),
  z.object({
    id: z.int(),
    error: z.object({
      kind: z.enum(["fault", "errno"]),
      code: z.string(),
      message: z.string(),
      detail: z.optional(z.record(z.string(), z.unknown())),
    }),
  }),
]);
