import { encodeMessage } from "#protocol/wire/codec";
import type { InventoryDevice } from "#protocol/wire/inventory";
import type { CloudMessage, Hello, Marks, Welcome } from "#protocol/wire/messages";
import { maxFrameBytes } from "#protocol/wire/shapes";
import type { CardAnswer } from "../reconcile/card-operations.ts";
import type { Reconciler } from "../reconcile/reconciler.ts";
import type { ReportBody } from "../reconcile/report.ts";
import type { Runtime } from "../runtime.ts";
import type { TrustedClock } from "../trusted-clock.ts";
import { Backoff } from "./backoff.ts";
import { Conversation } from "./conversation.ts";
import { inventoryHash, inventoryParts } from "./inventory.ts";
import { type LinkEnd, type OpenLink, supersededCode } from "./link.ts";
import { Outbox } from "./outbox.ts";

/** What the session is made of. */
export interface SessionOptions {
  readonly runtime: Runtime;
  readonly trustedClock: TrustedClock;
  readonly reconciler: Reconciler;
  readonly sockets: OpenLink;
  readonly polls: OpenLink;
  /** Signs a connect token for now. */
  readonly token: () => Promise<string>;
  /** The constant part of hello. */
  readonly identity: Pick<Hello, "host" | "agentVersion" | "protocol" | "bootId" | "capabilities">;
}

/** Socket tries that fail before polls take over, and how long polls last before the next try. */
const socketTries = 3;
const pollLifeMs = 5 * 60_000;
/** Planned reconnect: a random point of 100 to 115 min, before the gateway's 2 h (serverless.md §9). */
const socketLifeMs = 100 * 60_000;
const socketLifeSpread = 15 * 60_000;
/** Unacknowledged reports, and an inventory that is asked for, are sent again after this time, ms. */
const resendMs = 20_000;

/** Faults of the cloud after which a quick reconnect makes no sense. */
const hopeless: ReadonlySet<string> = new Set([
  "SUPERSEDED",
  "HOST_REVOKED",
  "HOST_IDENTITY_CONFLICT",
  "UNSUPPORTED_PROTOCOL",
]);

type LinkKind = "socket" | "poll";

/** Keeps the exchange with the cloud up, whatever the network does (design §6). */
export class Session {
  readonly #options: SessionOptions;
  readonly #outbox: Outbox;
  readonly #backoff: Backoff;
  readonly #stop = new AbortController();
  #current: Conversation | undefined;
  #kind: LinkKind = "socket";
  #socketFailures = 0;
  #refusal: string | undefined;
  #resigned = false;
  #devices: readonly InventoryDevice[] = [];
  #hash = inventoryHash([]);
  #inventorySentAt = Number.NEGATIVE_INFINITY;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#outbox = new Outbox(options.reconciler, options.runtime.clock.monotonic);
    this.#backoff = new Backoff(options.runtime);
  }

  /** What is, of one deployable: sent when it is news, and until it is acknowledged. */
  report(body: ReportBody): void {
    this.#outbox.put(body);
  }

  /** What the host has: sent when it changed. */
  inventory(devices: readonly InventoryDevice[]): void {
    const hash = inventoryHash(devices);
    this.#devices = devices;
    if (hash === this.#hash) return;
    this.#hash = hash;
    if (this.#current !== undefined) this.#sendInventory(this.#current);
  }

  /** How an operation on a card stands. An end that is lost is asked for again by the cloud. */
  answer(answer: CardAnswer): void {
    const { epoch, send } = this.#current ?? {};
    if (epoch === undefined) return;
    send?.(encodeMessage({ ...answer, type: "card-report", epoch, inventoryHash: this.#hash }));
  }

  /** How the cloud is reached now, for the local status. */
  state(): { readonly connected: boolean; readonly by: LinkKind; readonly unacknowledged: number } {
    return {
      connected: this.#current !== undefined,
      by: this.#kind,
      unacknowledged: this.#outbox.pending().length,
    };
  }

  /** Runs until {@link close}. */
  async run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      const kind = this.#current === undefined ? this.#nextKind() : "socket";
      await this.#backoff.turn(signal);
      if (signal.aborted) break;
      const end = await this.#connect(kind);
      if (end === undefined) await this.#live();
      else await this.#failed(kind, end);
    }
    this.#current?.close("the agent stops");
  }

  close(): void {
    this.#stop.abort();
    this.#current?.close("the agent stops");
  }

  /** After some socket failures polls take every second turn, so that both come back by themselves. */
  #nextKind(): LinkKind {
    if (this.#socketFailures < socketTries) return "socket";
    return (this.#socketFailures - socketTries) % 2 === 0 ? "poll" : "socket";
  }

  /** Opens a conversation beside the current one and replaces it once it is welcomed. */
  async #connect(kind: LinkKind): Promise<LinkEnd | undefined> {
    const { runtime, sockets, polls, token } = this.#options;
    const next = new Conversation(kind === "socket" ? sockets : polls, {
      runtime,
      hello: () => this.#hello(),
      digest: () => this.#options.reconciler.digest(),
      inventoryHash: () => this.#hash,
      heard: (message, from) => this.#heard(message, from),
      token: await token(),
    });
    const abandon = () => next.close("the agent stops");
    this.#stop.signal.addEventListener("abort", abandon, { once: true });
    const answer = await next.welcomed();
    this.#stop.signal.removeEventListener("abort", abandon);
    if ("end" in answer) return answer.end;
    const before = this.#current;
    this.#adopt(next, kind, answer.welcome);
    before?.close("replaced by a newer session");
    return undefined;
  }

  #adopt(conversation: Conversation, kind: LinkKind, welcome: Welcome): void {
    const { reconciler, trustedClock, runtime } = this.#options;
    runtime.log("welcomed", { by: kind, epoch: welcome.epoch });
    trustedClock.learn(welcome.serverTime);
    this.#current = conversation;
    this.#kind = kind;
    this.#refusal = undefined;
    this.#resigned = false;
    this.#backoff.learn(welcome.reconnectMs);
    this.#backoff.succeeded();
    if (kind === "socket") this.#socketFailures = 0;
    reconciler.welcome(welcome);
    if (welcome.wants.includes("inventory")) this.#sendInventory(conversation);
    this.#outbox.connected(welcome.epoch, conversation.send);
    void conversation.keepAlive(() => this.#outbox.resend(resendMs));
    void conversation.ended.then((end) => {
      if (this.#current !== conversation) return;
      this.#current = undefined;
      this.#outbox.disconnected();
      runtime.log("disconnected", { ...end });
    });
  }

  /** Until the link ends or has lived long enough; then the next one is opened beside it. */
  async #live(): Promise<void> {
    const current = this.#current;
    if (current === undefined) return;
    const { runtime } = this.#options;
    const life =
      this.#kind === "poll" ? pollLifeMs : socketLifeMs + runtime.random() * socketLifeSpread;
    const over = new AbortController();
    const end = await Promise.race([
      current.ended,
      runtime.sleep(life, AbortSignal.any([over.signal, this.#stop.signal])),
    ]);
    over.abort();
    if (end === undefined) return;
    this.#backoff.failed();
    await this.#penalty(end);
  }

  async #failed(kind: LinkKind, end: LinkEnd): Promise<void> {
    const { runtime, trustedClock } = this.#options;
    runtime.log("connect-failed", { by: kind, ...end });
    if (end.status === 401 && end.serverTime !== undefined) {
      // The host clock may be off: the next token is signed by the server's own time, once at once.
      trustedClock.learn(end.serverTime);
      this.#resigned = !this.#resigned;
      if (this.#resigned) return;
    }
    this.#backoff.failed();
    if (kind === "socket" || this.#socketFailures >= socketTries) this.#socketFailures += 1;
    await this.#penalty(end);
    if (this.#current !== undefined && this.#kind === "poll") await this.#live();
  }

  async #penalty(end: LinkEnd): Promise<void> {
    const refused = this.#refusal !== undefined && hopeless.has(this.#refusal);
    this.#refusal = undefined;
    if (end.code === supersededCode || refused) await this.#backoff.penalty(this.#stop.signal);
  }

  #heard(message: Exclude<CloudMessage, Welcome>, from: Conversation): void {
    const { reconciler, trustedClock, runtime } = this.#options;
    if (message.type === "error") {
      this.#refused(message, from);
      return;
    }
    if (message.type === "pong") {
      trustedClock.learn(message.serverTime);
      if (message.wants?.includes("inventory") === true) this.#inventoryLost(from);
      return;
    }
    if (from !== this.#current) return;
    if (message.type === "drain") reconciler.drain();
    else if (message.type === "card") reconciler.operate(message);
    else if (message.type === "ack") {
      this.#outbox
        .ack(message)
        .catch((error: unknown) => runtime.log("ack-not-kept", { error: String(error) }));
    } else {
      reconciler
        .desire(message)
        .catch((error: unknown) =>
          runtime.log("wish-refused", { deployable: message.deployable, error: String(error) }),
        );
    }
  }

  #refused(
    { error, serverTime, about }: Extract<CloudMessage, { type: "error" }>,
    from: Conversation,
  ): void {
    this.#options.runtime.log("refused-by-cloud", { ...error, about });
    if (serverTime !== undefined) this.#options.trustedClock.learn(serverTime);
    if (!hopeless.has(error.code) && error.code !== "UNAUTHENTICATED") return;
    this.#refusal = error.code;
    from.close(error.code);
  }

  #hello(): Hello {
    const { identity, reconciler } = this.#options;
    const hello: Hello = { ...identity, type: "hello", inventoryHash: this.#hash };
    return withMarks(hello, reconciler.marks());
  }

  /** What was sent a moment ago may still be on its way. */
  #inventoryLost(to: Conversation): void {
    const age = this.#options.runtime.clock.monotonic() - this.#inventorySentAt;
    if (to === this.#current && age >= resendMs) this.#sendInventory(to);
  }

  #sendInventory(to: Conversation): void {
    this.#inventorySentAt = this.#options.runtime.clock.monotonic();
    for (const part of inventoryParts(this.#devices, to.epoch, this.#hash)) {
      to.send(encodeMessage(part));
    }
  }
}

/** A host with very many handles tells some of its marks; the others guard it by themselves. */
function withMarks(hello: Hello, marks: Marks | undefined): Hello {
  if (marks === undefined) return hello;
  const entries = Object.entries(marks);
  const full = { ...hello, marks };
  if (entries.length < 2 || Buffer.byteLength(JSON.stringify(full)) <= maxFrameBytes) return full;
  return withMarks(hello, Object.fromEntries(entries.slice(0, Math.ceil(entries.length / 2))));
}
