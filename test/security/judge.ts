import { secrets, type World } from "./world.ts";

/** Names in `wanted` that have no row. */
export function missing(
  wanted: readonly string[],
  rows: Readonly<Record<string, unknown>>,
): readonly string[] {
  return wanted.filter((name) => !Object.hasOwn(rows, name));
}

/** The whole table as one text, to see whether anything was written. */
export function rowsOf({ store }: Pick<World, "store">): string {
  return JSON.stringify(store.table.items());
}

/**
 * Texts of the owner in an answer, also inside page tokens and other base64; what the request itself
 * named does not count.
 */
export function leaked(answer: string, sent: string): readonly string[] {
  const hidden = secrets.filter((secret) => !sent.includes(secret));
  const readable = [answer, ...unpacked(answer)].join("\n");
  return hidden.filter((secret) => readable.includes(secret));
}

function unpacked(text: string): readonly string[] {
  const packed = text.match(/[\w-]{24,}/g) ?? [];
  return packed.flatMap((one) => {
    const plain = Buffer.from(one, "base64url").toString("latin1");
    return /[\w-]{24,}/.test(plain) && plain !== one ? [plain, ...unpacked(plain)] : [plain];
  });
}
