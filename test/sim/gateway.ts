import { closeConnection, openConnection } from "#store/connections";
import { readHost } from "#store/hosts";
import type { Link, LinkEvents } from "../../agent/session/link.ts";
import { supersededCode } from "../../agent/session/link.ts";
import type { Cloud } from "./cloud.ts";
import type { Faults } from "./faults.ts";
import type { Plant } from "./plants.ts";
import type { Random } from "./random.ts";
import type { Time } from "./time.ts";

/** What the gateway is made of. */
export interface GatewayParts {
  readonly time: Time;
  readonly faults: Faults;
  readonly random: Random;
  readonly cloud: Cloud;
  readonly plant?: Plant | undefined;
  readonly tell: (what: () => string) => void;
}

/** The process at the agent's end of a link; once it is over it hears nothing. */
export interface Peer {
  readonly host: string;
  readonly publicKey: string;
  readonly isOver: () => boolean;
}

interface Socket {
  readonly id: string;
  readonly peer: Peer;
  readonly events: LinkEvents;
  /** What each side believes. */
  atAgent: boolean;
  atCloud: boolean;
}

/** API Gateway's own words for a socket that its backend closed. */
const closedByCloud = 1000;

/** The network between agents and cloud, from behind the check of the connect token. */
export class Gateway {
  readonly #parts: GatewayParts;
  readonly #sockets = new Map<string, Socket>();
  #count = 0;

  constructor(parts: GatewayParts) {
    this.#parts = parts;
  }

  /** An agent opens a socket; refusals come as `closed`. */
  open(peer: Peer, events: LinkEvents): Link {
    const { time } = this.#parts;
    this.#count += 1;
    const id = `socket-${this.#count}`;
    const socket: Socket = { id, peer, events, atAgent: true, atCloud: false };
    this.#sockets.set(id, socket);
    time.after(this.#way(), () => void this.#accept(socket));
    return {
      send: (text) => this.#fromAgent(socket, text),
      close: () => {
        if (!socket.atAgent) return;
        this.#end(socket, { reason: "closed by the agent" });
        this.#forget(socket);
      },
    };
  }

  /** A frame of the cloud; false when the socket is gone. */
  push(connection: string, text: string): boolean {
    const socket = this.#sockets.get(connection);
    if (socket?.atCloud !== true) return false;
    this.#carry(() => {
      if (!socket.atAgent || socket.peer.isOver()) return;
      this.#parts.tell(() => `→ ${socket.peer.host.slice(0, 8)} ${text}`);
      socket.events.text(text);
    });
    return true;
  }

  closeByCloud(connection: string): void {
    const socket = this.#sockets.get(connection);
    if (socket?.atCloud !== true) return;
    socket.atCloud = false;
    const code = this.#parts.random.chance(0.5) ? supersededCode : closedByCloud;
    this.#parts.time.after(this.#way(), () => this.#end(socket, { code, reason: "closed" }));
  }

  /** The sockets of a host break off: at both ends, or one end does not know. */
  cut(host: string, isHalfOpen: boolean): void {
    for (const socket of this.#sockets.values()) {
      if (socket.peer.host !== host) continue;
      if (isHalfOpen && this.#parts.random.chance(0.5)) {
        this.#forget(socket);
        continue;
      }
      this.#end(socket, { code: 1006, reason: "cut" });
      if (!isHalfOpen) this.#forget(socket);
    }
  }

  async #accept(socket: Socket): Promise<void> {
    const { cloud } = this.#parts;
    const { host, publicKey } = socket.peer;
    const isOpen = await cloud
      .invoke(async ({ store }) => {
        const known = await readHost(store, host);
        if (known.revoked || known.state === "removed") return false;
        await openConnection(store, { id: socket.id, host, publicKey });
        return true;
      })
      .catch(() => undefined);
    if (isOpen !== true) {
      this.#end(socket, { reason: "refused", status: isOpen === false ? 403 : 500 });
      return;
    }
    if (!socket.atAgent) return;
    socket.atCloud = true;
    if (!socket.peer.isOver()) socket.events.opened();
  }

  #fromAgent(socket: Socket, text: string): void {
    if (!socket.atAgent) return;
    const { cloud, plant } = this.#parts;
    const { host } = socket.peer;
    this.#carry(() => {
      const told = plant?.frame?.(text) ?? text;
      if (!socket.atCloud) return;
      this.#parts.tell(() => `← ${host.slice(0, 8)} ${told}`);
      void cloud.frame(socket.id, told);
    });
  }

  /** A frame on its way: it may be lost, come twice, or after one that was sent later. */
  #carry(arrive: () => void): void {
    const { time, faults, random } = this.#parts;
    if (faults.strikes("frame-drop", random)) return;
    time.after(this.#way(), arrive);
    if (faults.strikes("frame-double", random)) time.after(this.#way(), arrive);
  }

  #way(): number {
    const { faults, random } = this.#parts;
    return faults.strikes("frame-delay", random) ? random.below(20_000) : 2 + random.below(20);
  }

  #end(socket: Socket, end: Parameters<LinkEvents["closed"]>[0]): void {
    if (!socket.atAgent) return;
    socket.atAgent = false;
    if (!socket.peer.isOver()) socket.events.closed(end);
  }

  /** `$disconnect` comes late, or never. */
  #forget(socket: Socket): void {
    if (!socket.atCloud) return;
    socket.atCloud = false;
    const { time, random, cloud } = this.#parts;
    this.#sockets.delete(socket.id);
    if (random.chance(0.2)) return;
    time.after(random.below(2000), () => {
      void cloud.invoke(({ store }) => closeConnection(store, socket.id)).catch(() => undefined);
    });
  }
}
