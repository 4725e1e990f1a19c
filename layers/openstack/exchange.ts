import { Fault } from "#domain/faults";

/** One HTTP exchange with a service of the cloud. */
export interface Exchange {
  /** For messages and the fault's detail. */
  readonly service: string;
  readonly url: string;
  readonly init: RequestInit;
  readonly timeoutMs: number;
}

/**
 * Sends a request and hands its answer to `read`, both before the time is out. The time ends with
 * `read`, so that a body which `read` only passes on may take longer. OPENSTACK_UNAVAILABLE.
 *
 * Redirects are not followed: the token in our headers would go to wherever they point.
 */
export async function exchange<Result>(
  fetch: typeof globalThis.fetch,
  { service, url, init, timeoutMs }: Exchange,
  read: (response: Response) => Promise<Result>,
): Promise<Result> {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), timeoutMs);
  try {
    return await read(await fetch(url, { ...init, redirect: "manual", signal: controller.signal }));
  } catch (error) {
    const why = controller.signal.aborted ? `no answer in ${timeoutMs / 1000} s` : causeOf(error);
    throw unavailable(service, url, why);
  } finally {
    clearTimeout(timer);
  }
}

/** OPENSTACK_UNAVAILABLE of a service; what a query or a user part of the URL holds stays out. */
export function unavailable(service: string, url: string, why: string): Fault {
  const place = URL.canParse(url) ? new URL(url) : undefined;
  const where = place === undefined ? "" : ` at ${place.origin}${place.pathname}`;
  return new Fault("OPENSTACK_UNAVAILABLE", `${service}${where}: ${why}`, { service });
}

/** A code such as ECONNREFUSED. Texts of errors are left out: they may quote a header, so a token. */
function causeOf(error: unknown): string {
  const cause = error instanceof Error ? (error.cause ?? error) : error;
  const code: unknown = cause instanceof Error && "code" in cause ? cause.code : undefined;
  if (typeof code === "string" && code !== "") return code;
  return cause instanceof Error ? cause.name : "failed";
}
