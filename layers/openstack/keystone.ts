import { createHash } from "node:crypto";
import * as z from "zod/mini";
import type { OpenStack, OpenStackReply } from "./cloud.ts";
import { unavailable } from "./exchange.ts";
import { isToken, parseJson } from "./grant.ts";
import { type Memory, rememberUntil } from "./memory.ts";

/** Whose token it is. `expiresAt` in ms since the epoch. */
export interface Bearer {
  readonly userId: string;
  /** Undefined for tokens without a scope and for those of a domain or of the system. */
  readonly projectId: string | undefined;
  /** As Keystone writes them; names of roles do not tell upper case from lower. */
  readonly roles: readonly string[];
  readonly expiresAt: number;
  readonly isSystem: boolean;
}

/** What a validator is made of. */
export interface Validating {
  readonly openstack: OpenStack;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** How long a token that was revoked meanwhile may go on working; 0 asks Keystone each time. */
  readonly cacheMs: number;
}

/** How one token is looked at. */
export interface Looking {
  /** Takes a token that ended lately, as Keystone does for services that finish a user's work. */
  readonly allowExpired?: boolean;
}

/** Tells whose token it is. OPENSTACK_UNAVAILABLE where Keystone cannot tell. */
export type ValidateToken = (token: string, looking?: Looking) => Promise<Bearer | "invalid">;

/** A wrong token is asked about again after this long. */
const invalidMs = 5_000;
/** Strangers' wrong tokens have a place of their own: they push nobody out of the cache. */
const mostKept = { valid: 10_000, invalid: 1_000 };
/** An authorizer has 10 s in all. */
const timeoutMs = 4_000;

const answerSchema = z.looseObject({
  token: z.looseObject({
    user: z.looseObject({ id: z.string() }),
    project: z.optional(z.looseObject({ id: z.string() })),
    roles: z._default(z.array(z.looseObject({ name: z.string() })), []),
    expires_at: z.string(),
    system: z.optional(z.unknown()),
  }),
});

/**
 * Asks Keystone about tokens, about each once at a time, and remembers the answers. While Keystone is
 * away a remembered token goes on working for as long as it would anyway.
 */
export function tokenValidator(validating: Validating): ValidateToken {
  const { now, cacheMs } = validating;
  const valid: Memory<Bearer> = rememberUntil(mostKept.valid, now);
  const invalid: Memory<"invalid"> = rememberUntil(mostKept.invalid, now);
  const underWay = new Map<string, Promise<Bearer | "invalid">>();
  const look = async (key: string, token: string, allowExpired: boolean) => {
    try {
      const found = await askKeystone(validating.openstack, token, allowExpired);
      if (found === "invalid") invalid.keep(key, found, now() + Math.min(invalidMs, cacheMs));
      else valid.keep(key, found, lifeOf(found, now() + cacheMs, allowExpired));
      return found;
    } finally {
      underWay.delete(key);
    }
  };
  return async (token, { allowExpired = false } = {}) => {
    // No such token was ever given out, and one with a line break could not even be sent.
    if (!isToken(token)) return "invalid";
    const key = `${allowExpired ? "+" : ""}${createHash("sha256").update(token).digest("base64")}`;
    const known = valid.recall(key) ?? invalid.recall(key) ?? underWay.get(key);
    if (known !== undefined) return await known;
    const looking = look(key, token, allowExpired);
    underWay.set(key, looking);
    return await looking;
  };
}

function lifeOf({ expiresAt }: Bearer, cachedUntil: number, allowExpired: boolean): number {
  return allowExpired ? cachedUntil : Math.min(expiresAt, cachedUntil);
}

async function askKeystone(
  openstack: OpenStack,
  token: string,
  allowExpired: boolean,
): Promise<Bearer | "invalid"> {
  const reply = await openstack.send({
    service: "identity",
    method: "GET",
    path: "/auth/tokens",
    query: { nocatalog: "1", allow_expired: allowExpired ? "1" : undefined },
    headers: { "x-subject-token": token },
    timeoutMs,
  });
  if (reply.status === 404) return "invalid";
  const found = reply.status === 200 ? bearerOf(reply) : undefined;
  if (found === undefined) throw await cannotTell(openstack, reply.status);
  return found;
}

/** 401 is about our own token, which was new: a token that Keystone does not know is 404. */
async function cannotTell(openstack: OpenStack, status: number): Promise<Error> {
  const why =
    status === 401 || status === 403
      ? `does not let our account validate tokens (${status})`
      : `answered ${status} to a question about a token`;
  return unavailable("identity", (await openstack.endpoint("identity")) ?? "", `Keystone ${why}`);
}

function bearerOf({ text }: OpenStackReply): Bearer | undefined {
  const parsed = answerSchema.safeParse(parseJson(text));
  if (!parsed.success) return undefined;
  const { user, project, roles, expires_at, system } = parsed.data.token;
  const expiresAt = Date.parse(expires_at);
  if (Number.isNaN(expiresAt)) return undefined;
  return {
    userId: user.id,
    projectId: project?.id,
    roles: roles.map(({ name }) => name),
    expiresAt,
    isSystem: system !== undefined,
  };
}
