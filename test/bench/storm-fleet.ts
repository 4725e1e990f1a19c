import { uuidOf } from "#protocol/uuid";
import { decodeAgentMessage, encodeMessage } from "#protocol/wire/codec";
import { protocolVersion } from "#protocol/wire/shapes";
import { refreshFleetSize } from "#store/fleet-size";
import { createHost } from "#store/hosts";
import { memoryTable } from "#store/memory-table";
import type { Store } from "#store/store";
import type { Reconciler } from "../../agent/reconcile/reconciler.ts";
import { inventoryHash } from "../../agent/session/inventory.ts";
import type { LinkEvents, OpenLink } from "../../agent/session/link.ts";
import { Session } from "../../agent/session/session.ts";
import { TrustedClock } from "../../agent/trusted-clock.ts";
import { exchange } from "../../functions/exchange/exchange.ts";
import type { VirtualClock } from "./virtual-clock.ts";

/** Ms from one end to the other: every hop of a frame, and of a connect. */
const hopMs = 20;
/** Most connects within any 1,000 ms. */
export function busiestSecond(connects: readonly number[]): number {
  let most = 0;
  let from = 0;
  for (const [index, at] of connects.entries()) {
    while ((connects[from] ?? at) <= at - 1000) from += 1;
    most = Math.max(most, index - from + 1);
  }
  return most;
}

/** New sockets per second and account that the gateway takes; more are refused (serverless.md §9). */
const gatewayConnects = 500;

const bootId = uuidOf("storm", "boot");
const publicKey = "a key";

/** Many agents' real sessions against the real exchange, in virtual time. */
export class StormFleet {
  /** When each connect reached the gateway, ms, refused ones too. */
  readonly connects: number[] = [];
  /** True while the cloud answers nobody. */
  away = false;
  readonly #store: Store;
  readonly #time: VirtualClock;
  readonly #random: () => number;
  readonly #open = new Set<() => void>();
  readonly #sessions: Session[] = [];

  constructor(time: VirtualClock, random: () => number) {
    this.#time = time;
    this.#random = random;
    const sleep = async (ms: number) => await time.sleep(ms);
    this.#store = { table: memoryTable(), now: time.now, random, sleep };
  }

  /** Agents with a welcomed session. */
  get connected(): number {
    return this.#sessions.filter((session) => session.state().connected).length;
  }

  /** Makes the hosts known, counted, and starts each agent at a random point of `spreadMs`. */
  async start(hosts: number, spreadMs: number): Promise<void> {
    for (let index = 0; index < hosts; index += 1) {
      const id = uuidOf("storm", String(index));
      const facts = { revoked: false, createdAt: 0, updatedAt: 0, revision: 0 };
      const known = { id, name: `storm-${index}`, state: "joined", publicKey, ...facts } as const;
      await createHost(this.#store, { ...known, inventoryHash: inventoryHash([]) }, []);
      const session = this.#sessionOf(id);
      this.#sessions.push(session);
      this.#time.at(this.#random() * spreadMs, () => void session.run());
    }
    await refreshFleetSize(this.#store);
  }

  /** Ends every open socket at once, as a gateway that is restarted does. */
  cut(): void {
    for (const end of this.#open) end();
  }

  stop(): void {
    for (const session of this.#sessions) session.close();
  }

  /** A link whose connect takes one hop and whose frames take one each; sockets and polls alike. */
  #links(host: string): OpenLink {
    return (_, events) => {
      const over = new AbortController();
      const { signal } = over;
      const finish = (reason: string) => {
        if (signal.aborted) return;
        over.abort();
        this.#open.delete(cut);
        events.closed({ reason });
      };
      const cut = () => finish("cut");
      this.#time.at(this.#time.now() + hopMs, () => {
        if (signal.aborted) return;
        if (!this.#admits()) {
          finish("refused");
          return;
        }
        this.#open.add(cut);
        events.opened();
      });
      let epoch = 0;
      const hear = async (text: string): Promise<void> => {
        await this.#time.sleep(hopMs);
        if (signal.aborted) return;
        epoch = await this.#answer(host, epoch, text, { ...events, isOver: () => signal.aborted });
      };
      return { send: (text) => void hear(text), close: () => finish("closed") };
    };
  }

  #admits(): boolean {
    const now = this.#time.now();
    const full = this.connects.at(-gatewayConnects);
    this.connects.push(now);
    return !this.away && (full === undefined || full <= now - 1000);
  }

  async #answer(
    host: string,
    epoch: number,
    text: string,
    to: LinkEvents & { readonly isOver: () => boolean },
  ): Promise<number> {
    const bucket = { presignGet: async () => "" };
    const session = { host, publicKey, epoch, connection: host };
    const answered = await exchange(
      { store: this.#store, bucket },
      session,
      decodeAgentMessage(text),
    );
    await this.#time.sleep(hopMs);
    if (!to.isOver()) for (const reply of answered.replies) to.text(encodeMessage(reply));
    return answered.epoch ?? epoch;
  }

  #sessionOf(host: string): Session {
    const links = this.#links(host);
    const { clock, sleep } = this.#time;
    return new Session({
      runtime: {
        clock,
        sleep,
        random: this.#random,
        log: () => undefined,
        failpoint: () => undefined,
      },
      trustedClock: new TrustedClock(clock),
      reconciler: withoutCards as unknown as Reconciler,
      sockets: links,
      polls: links,
      token: async () => "token",
      identity: { host, agentVersion: "0", protocol: protocolVersion, bootId, capabilities: [] },
    });
  }
}

/** What a session asks of a host that has no card. */
const withoutCards = {
  marks: () => ({}),
  digest: () => ({}),
  welcome: () => undefined,
  receiptOf: () => undefined,
} satisfies Partial<Reconciler>;
