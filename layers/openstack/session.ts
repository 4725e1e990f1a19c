import type { Account } from "./account.ts";
import { endpointIn, type Interface, trimmed } from "./catalog.ts";
import type { OpenStack, OpenStackCall, OpenStackReply, Service } from "./cloud.ts";
import { exchange, unavailable } from "./exchange.ts";
import { type TokenKeeper, tokenKeeper } from "./keeper.ts";

/** How a cloud is reached, and the effects that takes. */
export interface SessionOptions {
  readonly fetch: typeof globalThis.fetch;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /**
   * Keystone and our account there; its URL ends in `/v3`. Without it there is no identity, and every
   * request carries the token `admin`, as Placement's noauth2 wants.
   */
  readonly keystone?: { readonly authUrl: string; readonly account: Account } | undefined;
  /** Endpoints that are used as they are, whatever the catalog says. */
  readonly endpoints: Readonly<Partial<Record<Service, string>>>;
  readonly interface: Interface;
  readonly region?: string | undefined;
}

/** Milliseconds until a service is given up, where a call says nothing. */
const timeoutMs = 10_000;
const fixedToken = "admin";

interface Answered {
  readonly status: number;
}

/**
 * One account's view of a cloud. Nothing is asked before the first call. Keystone itself (service
 * `identity`) answers at the auth URL, with `/v3` in it.
 */
export function openSession(options: SessionOptions): OpenStack {
  const { fetch, now, keystone } = options;
  const tokens = keystone === undefined ? undefined : tokenKeeper({ fetch, now, ...keystone });
  const endpoint = async (service: Service): Promise<string | undefined> => {
    const configured = options.endpoints[service];
    if (configured !== undefined) return trimmed(configured);
    if (keystone === undefined || tokens === undefined) return undefined;
    if (service === "identity") return keystone.authUrl;
    return endpointIn((await tokens.current()).catalog, service, options);
  };
  const ask = async <Answer extends Answered>(
    call: OpenStackCall,
    read: (response: Response) => Promise<Answer>,
  ): Promise<Answer> => {
    const base = await endpoint(call.service);
    if (base === undefined) throw unavailable(call.service, "", missing(options));
    const url = base + call.path + queryOf(call.query);
    return await withToken(tokens, call, async (token) => {
      const init = requestOf(call, token);
      const order = { service: call.service, url, init, timeoutMs: call.timeoutMs ?? timeoutMs };
      return await exchange(fetch, order, read);
    });
  };
  return {
    send: async (call) => await ask(call, replyOf),
    open: async (call) => await ask(call, async (response) => await Promise.resolve(response)),
    endpoint,
  };
}

/** Makes an attempt with the call's own token, or with ours, which is renewed once on 401. */
async function withToken<Answer extends Answered>(
  tokens: TokenKeeper | undefined,
  { token: foreign, body }: OpenStackCall,
  attempt: (token: string) => Promise<Answer>,
): Promise<Answer> {
  if (foreign !== undefined) return await attempt(foreign);
  if (tokens === undefined) return await attempt(fixedToken);
  const { token } = await tokens.current();
  const first = await attempt(token);
  if (first.status !== 401) return first;
  tokens.forget(token);
  // What a stream held is gone: the caller repeats such a call, and finds a new token.
  if (body instanceof ReadableStream) return first;
  if (first instanceof Response) await first.body?.cancel();
  return await attempt((await tokens.current()).token);
}

function missing({ keystone, interface: wanted, region }: SessionOptions): string {
  if (keystone === undefined) return "no endpoint is configured, and there is no OS_AUTH_URL";
  const where = region === undefined ? "" : ` in region ${region}`;
  return `the catalog has no ${wanted} endpoint of it${where}`;
}

async function replyOf(response: Response): Promise<OpenStackReply> {
  return { status: response.status, headers: response.headers, text: await response.text() };
}

function queryOf(query: OpenStackCall["query"] = {}): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined) parameters.set(name, value);
  }
  return parameters.size === 0 ? "" : `?${parameters.toString()}`;
}

function requestOf({ method, headers, json, body }: OpenStackCall, token: string): RequestInit {
  const type = json === undefined ? {} : { "content-type": "application/json" };
  const content = json === undefined ? body : JSON.stringify(json);
  const init = {
    method,
    headers: { accept: "application/json", ...type, ...headers, "x-auth-token": token },
    ...(content === undefined ? {} : { body: content as NonNullable<RequestInit["body"]> }),
  };
  return content instanceof ReadableStream ? { ...init, duplex: "half" } : init;
}
