import * as z from "zod/mini";

/** How our side of an OpenStack cloud stands, and what is taken over from Cyborg. */

export const checkStates = ["ok", "warning", "failed", "skipped"] as const;

/** One thing that was looked at; `todo` is there where somebody has to do something. */
export const check = z.object({
  name: z.string(),
  state: z.enum(checkStates),
  text: z.string(),
  todo: z.optional(z.string()),
});
export type CheckView = z.infer<typeof check>;

export const openstackCheck = z.object({
  /** The worst of all. */
  state: z.enum(checkStates),
  checks: z.array(check),
});
export type OpenstackCheckView = z.infer<typeof openstackCheck>;
