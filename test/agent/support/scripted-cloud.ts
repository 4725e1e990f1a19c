import { createPublicKey, type KeyObject } from "node:crypto";
import { EventEmitter } from "node:events";
import { verifyAgentToken } from "#protocol/agent-token";
import type { CardReport } from "#protocol/wire/card";
import { decodeAgentMessage } from "#protocol/wire/codec";
import type { InventoryDevice } from "#protocol/wire/inventory";
import type { AgentMessage, CloudMessage, Desired, Hello, Report } from "#protocol/wire/messages";
import { type Receipt, receiptDigest, receiptVerifies } from "#protocol/wire/receipt";
import type { Wish } from "../../../agent/reconcile/step.ts";
import type { SocketConstructor } from "../../../agent/session/socket-link.ts";

/** What a test may make go wrong. */
export interface Mishaps {
  /** Nothing connects and open sockets are dead. */
  away: boolean;
  /** Sockets are refused, HTTPS works. */
  socketsRefused: boolean;
  /** Reports arrive, their acks do not. */
  acksLost: boolean;
  acksDoubled: boolean;
  /** Inventories do not arrive. */
  inventoriesLost: boolean;
  /** Pings are not answered. */
  mute: boolean;
}

/** A wish without what the wire adds. */
export type CloudWish = Wish & { readonly deployable: string };

/** A cloud in a test: stores what is reported, acks, answers pings with the wishes that are stale. */
export class ScriptedCloud {
  readonly mishaps: Mishaps = {
    away: false,
    socketsRefused: false,
    acksLost: false,
    acksDoubled: false,
    inventoriesLost: false,
    mute: false,
  };
  readonly hellos: Hello[] = [];
  /** Sockets that were open when each hello came. */
  readonly openAtHello: number[] = [];
  readonly heard: AgentMessage[] = [];
  /** Frames that were no agent message, as the agent's typed errors. */
  readonly strange: string[] = [];
  readonly reports: Report[] = [];
  /** How operations on cards stand, as they were told. */
  readonly answers: CardReport[] = [];
  readonly receipts = new Map<string, Map<number, Receipt>>();
  readonly violations: string[] = [];
  readonly floors: Record<string, { imageGeneration: number; fences: Record<string, number> }> = {};
  readonly wishes = new Map<string, Desired>();
  readonly stored = new Map<string, Report>();
  readonly sockets: FakeSocket[] = [];
  readonly images = new Map<string, Buffer>();
  inventory: readonly InventoryDevice[] = [];
  inventoryHash = "";
  /** What welcomes say of the window of a reconnect; absent: nothing, as older clouds do. */
  reconnectMs: number | undefined;
  readonly #parts = new Map<string, InventoryDevice[]>();
  epoch = 0;
  /** The newest session; older ones are not heard. */
  line: { epoch: number; send(message: CloudMessage | string): void } | undefined;
  /** Frames that come before every welcome, as a network that reorders would bring them. */
  readonly early: CloudMessage[] = [];
  readonly #publicKey: KeyObject;
  readonly now: () => number;

  constructor(key: KeyObject, now: () => number) {
    this.#publicKey = createPublicKey(key);
    this.now = now;
  }

  /** A WebSocket constructor whose sockets end here. */
  get webSocket(): SocketConstructor {
    return socketsOf(this) as unknown as SocketConstructor;
  }

  /** Fetches images, and carries the exchange when sockets do not work. */
  readonly fetch = async (url: string | URL | Request, init?: RequestInit): Promise<Response> => {
    if (this.mishaps.away) throw new TypeError("fetch failed");
    if (typeof url !== "string") throw new TypeError("only plain addresses are served");
    const image = this.images.get(url);
    if (image !== undefined) return new Response(new Uint8Array(image));
    if (!url.endsWith("/agent/v1/exchange")) return new Response("", { status: 404 });
    const headers = new Headers(init?.headers);
    if (!(await this.admits(headers.get("authorization") ?? ""))) {
      const date = new Date(this.now()).toUTCString();
      return new Response("", { status: 401, headers: { date } });
    }
    const { frames } = JSON.parse(init?.body as string) as { frames: string[] };
    for (const frame of frames) this.take(frame, this.pollLine);
    return Response.json({ frames: this.pollLine.frames.splice(0), pollSeconds: 15 });
  };
  readonly pollLine = new PollLine();

  async admits(authorization: string): Promise<boolean> {
    try {
      await verifyAgentToken(authorization.replace("Bearer ", ""), this.#publicKey, this.now());
      return true;
    } catch {
      return false;
    }
  }

  /** What a frame of an agent leads to. */
  take(text: string, line: { epoch: number; send(message: CloudMessage | string): void }): void {
    let message: AgentMessage;
    try {
      message = decodeAgentMessage(text);
    } catch {
      this.strange.push(text);
      return;
    }
    if (message.type === "error") {
      this.strange.push(text);
      return;
    }
    this.heard.push(message);
    if (message.type === "hello") {
      this.#welcome(message, line);
      return;
    }
    if (message.epoch !== this.epoch || line.epoch !== this.epoch) return;
    if (message.type === "report") this.#report(message, line);
    else if (message.type === "inventory") this.#inventory(message);
    else if (message.type === "card-report") this.answers.push(message);
    else if (!this.mishaps.mute) {
      const stale = [...this.wishes.values()].filter(
        (wish) => message.digest[wish.deployable] !== wish.revision,
      );
      line.send({
        type: "pong",
        serverTime: this.now(),
        stale: stale.map(({ deployable }) => deployable),
        ...(message.inventoryHash === this.inventoryHash ? {} : { wants: ["inventory"] }),
      });
      for (const wish of stale) line.send(wish);
    }
  }

  /** Wishes something, and tells the agent at once when it is there. */
  wish(wish: CloudWish): void {
    const desired = { ...wish, type: "desired" as const } as Desired;
    this.wishes.set(desired.deployable, desired);
    this.#raise(desired.deployable, desired.imageGeneration, fencesOf(desired));
    this.line?.send(desired);
  }

  /** The newest report of a deployable. */
  of(deployable: string): Report | undefined {
    return this.stored.get(deployable);
  }

  #welcome(hello: Hello, line: { epoch: number; send(message: CloudMessage): void }): void {
    this.hellos.push(hello);
    this.openAtHello.push(this.sockets.filter(({ open }) => open).length);
    for (const [id, { imageGeneration, fences }] of Object.entries(hello.marks ?? {})) {
      this.#raise(id, imageGeneration, fences);
    }
    this.epoch += 1;
    line.epoch = this.epoch;
    this.line = line;
    const heads = [...this.receipts].map(([id, chain]) => {
      const last = [...chain.values()].at(-1);
      return [id, { number: last?.body.number ?? 0, digest: last ? receiptDigest(last.body) : "" }];
    });
    for (const message of this.early) line.send(message);
    line.send({
      type: "welcome",
      epoch: this.epoch,
      serverTime: this.now(),
      floors: this.floors,
      chainHeads: Object.fromEntries(heads),
      wants: hello.inventoryHash === this.inventoryHash ? [] : ["inventory"],
      ...(this.reconnectMs === undefined ? {} : { reconnectMs: this.reconnectMs }),
    });
  }

  #inventory(message: Extract<AgentMessage, { type: "inventory" }>): void {
    if (this.mishaps.inventoriesLost) return;
    const parts = [...(this.#parts.get(message.id) ?? []), ...message.devices];
    this.#parts.set(message.id, parts);
    if (message.part + 1 < message.of) return;
    this.inventory = parts;
    this.inventoryHash = message.hash;
  }

  #report(report: Report, line: { send(message: CloudMessage): void }): void {
    const before = this.stored.get(report.deployable);
    const newer =
      before === undefined ||
      report.epoch > before.epoch ||
      (report.epoch === before.epoch && report.seq > before.seq);
    if (newer) {
      this.#checkFences(report);
      this.stored.set(report.deployable, report);
      this.reports.push(report);
    }
    if (report.receipt !== undefined) this.#keep(report.receipt);
    if (this.mishaps.acksLost) return;
    const { deployable, epoch, seq } = report;
    const ack = { type: "ack" as const, deployable, epoch, seq };
    line.send(ack);
    if (this.mishaps.acksDoubled) line.send(ack);
  }

  #keep(receipt: Receipt): void {
    const { deployable, number, previous } = receipt.body;
    const chain = this.receipts.get(deployable) ?? new Map<number, Receipt>();
    this.receipts.set(deployable, chain);
    if (!receiptVerifies(receipt, this.#publicKey)) this.violations.push(`forged ${number}`);
    const same = chain.get(number);
    if (same !== undefined && receiptDigest(same.body) !== receiptDigest(receipt.body)) {
      this.violations.push(`two receipts ${number}`);
    }
    const head = chain.get(number - 1);
    if (head !== undefined && receiptDigest(head.body) !== previous) {
      this.violations.push(`receipt ${number} breaks the chain`);
    }
    if (head === undefined && number > 1) this.violations.push(`no receipt before ${number}`);
    chain.set(number, receipt);
  }

  #checkFences({ deployable, handles }: Report): void {
    const before = this.stored.get(deployable)?.handles ?? {};
    for (const [name, { fence }] of Object.entries(handles)) {
      if (fence < (before[name]?.fence ?? 0)) this.violations.push(`fence of ${name} fell`);
    }
  }

  #raise(id: string, imageGeneration: number, fences: Record<string, number>): void {
    const floor = this.floors[id] ?? { imageGeneration: 0, fences: {} };
    floor.imageGeneration = Math.max(floor.imageGeneration, imageGeneration);
    for (const [name, fence] of Object.entries(fences)) {
      floor.fences[name] = Math.max(floor.fences[name] ?? 0, fence);
    }
    this.floors[id] = floor;
  }
}

function socketsOf(cloud: ScriptedCloud) {
  return class extends FakeSocket {
    constructor(_: string, options: { headers: Readonly<Record<string, string>> }) {
      super(cloud, options.headers["authorization"] ?? "");
    }
  };
}

function fencesOf({ handles }: Desired): Record<string, number> {
  return Object.fromEntries(Object.entries(handles).map(([name, { fence }]) => [name, fence]));
}

const textOf = (message: CloudMessage | string): string =>
  typeof message === "string" ? message : JSON.stringify(message);

/** Gathers what the next poll's answer carries. */
class PollLine {
  epoch = 0;
  readonly frames: string[] = [];

  send(message: CloudMessage | string): void {
    this.frames.push(textOf(message));
  }
}

/** The agent's end of a socket, with the calls of `ws` that the agent uses. */
export class FakeSocket extends EventEmitter {
  epoch = 0;
  open = false;
  readonly sent: string[] = [];
  readonly #cloud: ScriptedCloud;

  constructor(cloud: ScriptedCloud, authorization: string) {
    super();
    this.#cloud = cloud;
    void this.#handshake(authorization);
  }

  async #handshake(authorization: string): Promise<void> {
    await Promise.resolve();
    const { mishaps } = this.#cloud;
    if (mishaps.away || mishaps.socketsRefused) {
      this.emit("error", new Error("connect ECONNREFUSED"));
      return;
    }
    if (!(await this.#cloud.admits(authorization))) {
      const date = new Date(this.#cloud.now()).toUTCString();
      this.emit("unexpected-response", {}, { statusCode: 401, headers: { date }, resume() {} });
      return;
    }
    this.open = true;
    this.#cloud.sockets.push(this);
    this.emit("open");
  }

  /** Agent → cloud. */
  send(text: string, done?: (error?: Error) => void): void {
    queueMicrotask(() => {
      if (!this.open) {
        done?.(new Error("the socket is closed"));
        return;
      }
      this.sent.push(text);
      // A dead peer swallows frames without a word.
      if (!this.#cloud.mishaps.away) this.#cloud.take(text, this.serverLine);
      done?.();
    });
  }

  readonly serverLine = {
    epoch: 0,
    send: (message: CloudMessage | string) => {
      queueMicrotask(() => {
        if (this.open && !this.#cloud.mishaps.away) {
          this.emit("message", Buffer.from(textOf(message)), false);
        }
      });
    },
  };

  close(code = 1000): void {
    this.end(code);
  }

  terminate(): void {
    this.end(1006);
  }

  /** Either side ends the socket. */
  end(code: number): void {
    if (!this.open) return;
    this.open = false;
    this.emit("close", code, Buffer.from(""));
  }
}
