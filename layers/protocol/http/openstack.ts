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

export const importStates = ["planned", "taken", "there", "conflict", "left"] as const;

/** Takes over a running Cyborg: its profiles, and its bound requests with their handles. */
export const importOpenstack = z.strictObject({
  /** Says what would be done, and does nothing. */
  dryRun: z.optional(z.boolean()),
});
export type ImportOpenstack = z.infer<typeof importOpenstack>;

export const openstackImport = z.object({
  dryRun: z.boolean(),
  items: z.array(
    z.object({
      kind: z.enum(["profile", "request", "provider"]),
      id: z.string(),
      /**
       * `taken`, or `planned` in a dry run; `there`: it was here already; `left`: it stays with Cyborg;
       * `conflict`: the text says what has to be decided.
       */
      state: z.enum(importStates),
      text: z.string(),
    }),
  ),
});
export type OpenstackImportView = z.infer<typeof openstackImport>;
