import { type Account, accountName, authRequest } from "./account.ts";
import { exchange, unavailable } from "./exchange.ts";
import { type Grant, readGrant } from "./grant.ts";

/** Keystone, our account there, and the effects it takes to ask it. */
export interface Keeping {
  readonly fetch: typeof globalThis.fetch;
  readonly now: () => number;
  /** Ends in `/v3`. */
  readonly authUrl: string;
  readonly account: Account;
}

/** Keystone is asked within other requests; an authorizer has 10 s in all. */
const timeoutMs = 4_000;

/** Our own token. */
export interface TokenKeeper {
  /** A token that will live for a while yet. */
  readonly current: () => Promise<Grant>;
  /** Drops a token that a service refused, unless it was replaced already. */
  readonly forget: (token: string) => void;
}

/**
 * Keeps one token; those who need a new one at the same time wait for the same. OPENSTACK_UNAVAILABLE
 * when Keystone does not answer or does not want our account.
 */
export function tokenKeeper(keeping: Keeping): TokenKeeper {
  const { now } = keeping;
  let held: Grant | undefined;
  let renewal: Promise<Grant> | undefined;
  const renew = async (): Promise<Grant> => {
    try {
      held = await authenticate(keeping);
      return held;
    } finally {
      renewal = undefined;
    }
  };
  return {
    current: async () => {
      if (held !== undefined && now() < held.renewAt) return held;
      renewal ??= renew();
      return await renewal;
    },
    forget: (token) => {
      if (held?.token === token) held = undefined;
    },
  };
}

async function authenticate({ fetch, now, authUrl, account }: Keeping): Promise<Grant> {
  const url = `${authUrl}/auth/tokens`;
  const asked = now();
  const init = {
    method: "POST",
    headers: { accept: "application/json", "content-type": "application/json" },
    body: JSON.stringify(authRequest(account)),
  };
  const order = { service: "identity", url, init, timeoutMs };
  const answer = await exchange(fetch, order, async (response) => ({
    status: response.status,
    token: response.headers.get("x-subject-token"),
    text: await response.text(),
  }));
  if (answer.status === 401 || answer.status === 403) {
    const why = `Keystone refuses the ${accountName(account)} (${answer.status})`;
    throw unavailable("identity", url, why);
  }
  if (answer.status !== 201) throw unavailable("identity", url, `answered ${answer.status}`);
  const grant = readGrant(answer.token, answer.text, asked);
  if (grant === undefined) throw unavailable("identity", url, "answered what is no token");
  return grant;
}
