import { exchangeResponse } from "#protocol/join";
import type { Runtime } from "../runtime.ts";
import { dateHeader, type Link, type LinkEnd, type LinkEvents, type OpenLink } from "./link.ts";

/** What polling needs beside its events. */
export interface PollOptions {
  readonly fetch: typeof globalThis.fetch;
  /** Base of the HTTPS API, without a path. */
  readonly httpUrl: string;
  readonly runtime: Runtime;
  /** A fresh connect token per request: one lives only 60 s. */
  readonly token: () => Promise<string>;
}

/** Frames of one request (join.ts). */
const maxFrames = 64;
/** Ms that frames are gathered before they are sent. */
const gatherMs = 250;
/** Bounds for the server's interval, seconds: neither a busy loop nor a lost host. */
const shortestPoll = 1;
const longestPoll = 60;

/** Links that carry the socket's frames in short HTTPS requests (design §6). */
export function pollLinks(options: PollOptions): OpenLink {
  return (_, events) => new PollLink(options, events);
}

class PollLink implements Link {
  readonly #options: PollOptions;
  readonly #events: LinkEvents;
  readonly #queue: string[] = [];
  #over = false;
  #nudge = new AbortController();
  #pollMs = 0;

  constructor(options: PollOptions, events: LinkEvents) {
    this.#options = options;
    this.#events = events;
    void this.#run();
  }

  send(text: string): void {
    this.#queue.push(text);
    this.#nudge.abort();
  }

  close(): void {
    this.#end({ reason: "closed by the agent" });
  }

  async #run(): Promise<void> {
    const { sleep } = this.#options.runtime;
    await Promise.resolve();
    this.#events.opened();
    while (!this.#over) {
      if (this.#queue.length === 0) await sleep(this.#pollMs, this.#nudge.signal);
      this.#nudge = new AbortController();
      if (this.#pollMs > 0) await sleep(gatherMs);
      if (!this.#over) await this.#exchange();
    }
  }

  async #exchange(): Promise<void> {
    const frames = this.#queue.splice(0, maxFrames);
    try {
      const response = await this.#post(frames);
      if (response === undefined) return;
      const { pollSeconds, frames: answers } = exchangeResponse.parse(await response.json());
      this.#pollMs = 1000 * Math.min(Math.max(pollSeconds, shortestPoll), longestPoll);
      for (const text of answers) if (!this.#over) this.#events.text(text);
    } catch (error) {
      this.#end({ reason: error instanceof Error ? error.message : String(error) });
    }
  }

  async #post(frames: readonly string[]): Promise<Response | undefined> {
    const { fetch, httpUrl, token } = this.#options;
    const response = await fetch(`${httpUrl}/agent/v1/exchange`, {
      method: "POST",
      headers: { authorization: `Bearer ${await token()}`, "content-type": "application/json" },
      body: JSON.stringify({ frames }),
      redirect: "error",
    });
    if (response.ok) return response;
    const { status } = response;
    const serverTime = dateHeader(response.headers.get("date"));
    await response.body?.cancel();
    this.#end({ reason: `refused with ${status}`, status, ...(serverTime && { serverTime }) });
    return undefined;
  }

  #end(why: LinkEnd): void {
    if (this.#over) return;
    this.#over = true;
    this.#nudge.abort();
    this.#events.closed(why);
  }
}
