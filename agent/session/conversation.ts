import { isFault } from "#domain/faults";
import { decodeCloudMessage, encodeMessage, wireErrorOf } from "#protocol/wire/codec";
import type { CloudMessage, Hello, Welcome } from "#protocol/wire/messages";
import type { Runtime } from "../runtime.ts";
import type { Link, LinkEnd, OpenLink } from "./link.ts";

/** Times of a session, ms (design §6). */
const times = {
  /** A link that is not welcomed in this time is given up. */
  welcome: 20_000,
  ping: 30_000,
  /** Jitter round a ping, as a share of its interval. */
  pingJitter: 0.2,
  pong: 20_000,
} as const;

/** What a conversation says and whom it tells. */
export interface ConversationOptions {
  readonly runtime: Runtime;
  readonly hello: () => Hello;
  readonly digest: () => Readonly<Record<string, number>>;
  readonly inventoryHash: () => string;
  /** Everything but the welcome that came with a welcome before it. */
  readonly heard: (message: Exclude<CloudMessage, Welcome>, conversation: Conversation) => void;
  readonly token: string;
}

/** How a link began: welcomed, or over before that. */
export type Answer = { readonly welcome: Welcome } | { readonly end: LinkEnd };

/** Largest number of deployables in one ping, so that it stays far below the frame limit. */
const digestSize = 400;

/** One link from hello to its end. */
export class Conversation {
  readonly ended: Promise<LinkEnd>;
  readonly #options: ConversationOptions;
  readonly #link: Link;
  #accepted: Welcome | undefined;
  #welcomed: () => void = () => undefined;
  #over: (end: LinkEnd) => void = () => undefined;
  readonly #welcome: Promise<true>;
  readonly #end = new AbortController();
  #heardPong = new AbortController();

  constructor(open: OpenLink, options: ConversationOptions) {
    this.#options = options;
    this.#welcome = new Promise((resolve) => {
      this.#welcomed = () => resolve(true);
    });
    this.ended = new Promise((resolve) => {
      this.#over = resolve;
    });
    this.#link = open(options.token, {
      opened: () => this.#send(encodeMessage(options.hello())),
      text: (text) => this.#take(text),
      closed: (end) => this.#finish(end),
    });
  }

  get epoch(): number {
    return this.#accepted?.epoch ?? 0;
  }

  get isOver(): boolean {
    return this.#end.signal.aborted;
  }

  /** The cloud's welcome, or why there is none. */
  async welcomed(): Promise<Answer> {
    const late = this.#options.runtime.sleep(times.welcome, this.#end.signal);
    const first = await Promise.race([this.#welcome, this.ended, late]);
    if (first === undefined) this.close("not welcomed in time");
    if (this.#accepted !== undefined) return { welcome: this.#accepted };
    return { end: await this.ended };
  }

  /** Sends wire text; after the end it goes nowhere, since everything that matters is resent. */
  readonly send = (text: string): void => this.#send(text);

  /** Pings at once and then every 30 s ± jitter; a link without a pong in 20 s is dead. */
  async keepAlive(beat: () => void): Promise<void> {
    const { runtime, digest, inventoryHash } = this.#options;
    while (!this.isOver) {
      this.#heardPong = new AbortController();
      for (const part of sliced(digest())) {
        const ping = { epoch: this.epoch, digest: part, inventoryHash: inventoryHash() };
        this.#send(encodeMessage({ type: "ping", ...ping }));
      }
      beat();
      await runtime.sleep(times.pong, this.#anyOf(this.#heardPong.signal));
      if (!this.#heardPong.signal.aborted) this.close("no pong");
      const jitter = (runtime.random() * 2 - 1) * times.pingJitter;
      await runtime.sleep(times.ping * (1 + jitter), this.#end.signal);
    }
  }

  close(reason: string): void {
    if (this.isOver) return;
    this.#finish({ reason });
    this.#link.close();
  }

  #send(text: string): void {
    if (!this.isOver) this.#link.send(text);
  }

  #finish(end: LinkEnd): void {
    if (this.isOver) return;
    this.#end.abort();
    this.#over(end);
  }

  #take(text: string): void {
    if (this.isOver) return;
    try {
      this.#hear(decodeCloudMessage(text));
    } catch (error) {
      const about = isFault(error) ? error.detail["about"] : undefined;
      this.#options.runtime.log("message-refused", { about, error: String(error) });
      this.#send(
        encodeMessage({
          type: "error",
          ...(typeof about === "string" ? { about } : {}),
          error: wireErrorOf(error),
        }),
      );
    }
  }

  #hear(message: CloudMessage): void {
    if (message.type === "welcome") {
      // Only the first counts: the epoch of a session never changes.
      if (this.#accepted !== undefined) return;
      this.#accepted = message;
      this.#welcomed();
      return;
    }
    if (message.type === "pong") this.#heardPong.abort();
    if (this.#accepted === undefined && message.type !== "error") {
      this.#options.runtime.log("message-before-welcome", { about: message.type });
      return;
    }
    this.#options.heard(message, this);
  }

  #anyOf(signal: AbortSignal): AbortSignal {
    return AbortSignal.any([signal, this.#end.signal]);
  }
}

function sliced(digest: Readonly<Record<string, number>>): readonly Record<string, number>[] {
  const entries = Object.entries(digest);
  const parts = [];
  for (let start = 0; start === 0 || start < entries.length; start += digestSize) {
    parts.push(Object.fromEntries(entries.slice(start, start + digestSize)));
  }
  return parts;
}
