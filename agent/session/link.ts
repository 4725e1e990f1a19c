/** What a link tells its owner; after `closed` nothing more comes. */
export interface LinkEvents {
  readonly opened: () => void;
  readonly text: (text: string) => void;
  readonly closed: (end: LinkEnd) => void;
}

/** Why a link is over. `code` is a WebSocket close code; `status` an HTTP status that refused it. */
export interface LinkEnd {
  readonly reason: string;
  readonly code?: number;
  readonly status?: number;
  /** The server's own time from a refusal's Date header, ms since the epoch. */
  readonly serverTime?: number;
}

/** One way to the cloud that carries wire frames: a socket, or polls that look like one. */
export interface Link {
  send(text: string): void;
  /** Ends the link; `closed` follows unless it came before. */
  close(): void;
}

/** Opens a link with a connect token; refusals come as `closed`. */
export type OpenLink = (token: string, events: LinkEvents) => Link;

/** Close code of a session that a newer one of the same host replaced (design §6). */
export const supersededCode = 4409;

/** Ms since the epoch of an HTTP Date header, undefined when it is missing or no date. */
export function dateHeader(value: string | null | undefined): number | undefined {
  const time = Date.parse(value ?? "");
  return Number.isNaN(time) ? undefined : time;
}
