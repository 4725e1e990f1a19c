import * as z from "zod/mini";
import { type Catalog, catalogSchema } from "./catalog.ts";

/** Our own token, what it opens, and when to have the next one (ms since the epoch). */
export interface Grant {
  readonly token: string;
  readonly catalog: Catalog;
  readonly renewAt: number;
}

const answerSchema = z.looseObject({
  token: z.looseObject({
    issued_at: z.string(),
    expires_at: z.string(),
    catalog: z.optional(catalogSchema),
  }),
});

/** A token is not used in its last minute, or in the second half of a very short life. */
const marginMs = 60_000;

/**
 * Reads Keystone's answer to an authentication; undefined when it is none. Its life counts from when
 * we asked (`asked`), by our own clock, so that Keystone's clock may differ.
 */
export function readGrant(token: string | null, text: string, asked: number): Grant | undefined {
  const parsed = answerSchema.safeParse(parseJson(text));
  if (!parsed.success || !isToken(token)) return undefined;
  const { issued_at, expires_at, catalog = [] } = parsed.data.token;
  const life = Date.parse(expires_at) - Date.parse(issued_at);
  if (Number.isNaN(life)) return undefined;
  return { token, catalog, renewAt: asked + life - Math.min(marginMs, life / 2) };
}

/** Tokens travel in headers: visible ASCII, and no longer than any server takes. */
export function isToken(text: string | null | undefined): text is string {
  return typeof text === "string" && /^[\x21-\x7e]{1,8192}$/.test(text);
}

/** The value a JSON text says; undefined for any other text. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
