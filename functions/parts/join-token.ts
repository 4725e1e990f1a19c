import { createHash, createHmac, randomBytes } from "node:crypto";
import { joinTokenMs, joinTokenRow } from "#store/hosts";
import { secret } from "#store/named";
import type { Store } from "#store/store";
import type { Write } from "#store/table";

/** What a request for a token leaves behind; not enough to make the token again. */
export interface KeptToken {
  readonly host: string;
  readonly nonce: string;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
}

/**
 * One-time join tokens of 32 bytes. A token is a MAC over a fresh nonce and the caller's idempotency
 * key: the same request again gets the same token (its first answer may have been lost), never a
 * second one, while the table, which keeps the token's digest, the nonce and the MAC's secret but not
 * the caller's key, does not hold the token. Without a key nothing can be repeated, so a random one
 * stands in.
 */
export interface JoinTokens {
  readonly fresh: (
    host: string,
    now: number,
  ) => { readonly token: string; readonly kept: KeptToken; readonly row: Write };
  readonly again: (kept: KeptToken) => string;
}

/** The tokens of one request. */
export async function joinTokens(
  store: Store,
  idempotencyKey: string | undefined,
): Promise<JoinTokens> {
  const random = () => randomBytes(32).toString("base64url");
  const master = await secret(store, "join-token", random);
  const key = idempotencyKey ?? random();
  const tokenOf = (nonce: string) =>
    createHmac("sha256", master).update(`${nonce}\n${key}`).digest("base64url");
  return {
    fresh: (host, now) => {
      const nonce = random();
      const token = tokenOf(nonce);
      const digest = createHash("sha256").update(token).digest("hex");
      const kept = { host, nonce, expiresAt: now + joinTokenMs };
      return { token, kept, row: joinTokenRow(digest, host, now) };
    },
    again: ({ nonce }) => tokenOf(nonce),
  };
}
