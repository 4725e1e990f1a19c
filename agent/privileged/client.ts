import { Fault, type FaultCode, faults } from "#domain/faults";
import type { ImageReference } from "#protocol/wire/shapes";
import type { AfiSlot } from "../host/afi-slots.ts";
import { type ConnectLines, connectLines, type LineSocket } from "../host/line-socket.ts";
import type { Bitstream, PrPort } from "../host/pr-port.ts";
import type { Holder, SysfsPort } from "../host/sysfs-port.ts";
import type { Tools } from "../host/tools.ts";
import { mayRead } from "./grammar.ts";
import { digestOf } from "./images.ts";
import { type FileReference, type HelperRequest, helperAnswer } from "./requests.ts";

/** The privileged process as the ports that drivers and the reconciler use. */
export interface HelperClient {
  readonly port: SysfsPort;
  readonly pr: PrPort;
  readonly tools: Tools;
  /** Remembers what the cloud says of verified bytes: they are asked for by it, and never sent. */
  readonly vouch: (bytes: Buffer, image: ImageReference) => void;
  close(): void;
}

export interface ClientOptions {
  readonly path: string;
  /** Reads that need no privilege. */
  readonly plain: SysfsPort;
  readonly connect?: ConnectLines;
}

type Ask = (request: HelperRequest) => Promise<unknown>;

/** Connects when it is first asked, and again after the helper was restarted. */
export function helperClient({ path, plain, connect = connectLines }: ClientOptions): HelperClient {
  const line = new HelperLine(path, connect);
  const ask: Ask = (request) => line.ask(request);
  const sources = new WeakMap<Buffer, ImageReference>();
  const fileOf = (bytes: Buffer): FileReference => {
    const image = sources.get(bytes);
    // The presigned address is nobody's business but the downloader's.
    return image ? { image: { ...image, url: "" } } : { blank: digestOf(bytes) };
  };
  const wholeOf = ({ file, bytes }: Bitstream) => fileOf(file ?? bytes);
  const tools = toolsBy(ask, fileOf);
  return {
    port: {
      ...plain,
      read: async (attribute) =>
        mayRead(attribute)
          ? String(await ask({ verb: "read", path: attribute }))
          : await plain.read(attribute),
      write: async (attribute, value, deadlineMs) =>
        void (await ask({ verb: "write", path: attribute, value, deadlineMs })),
      holders: async (node) => (await ask({ verb: "holders", node })) as readonly Holder[],
    },
    pr: {
      async programPort(engine, port, image, progress) {
        await ask({ verb: "program", engine, port, file: wholeOf(image) });
        progress(100);
      },
      releasePort: async (engine, port) => void (await ask({ verb: "release", engine, port })),
      assignPort: async (engine, port) => void (await ask({ verb: "assign", engine, port })),
      async programUser(address, image, progress) {
        await ask({ verb: "program-user", address, file: wholeOf(image) });
        progress(100);
      },
    },
    tools,
    vouch: (bytes, image) => void sources.set(bytes, image),
    close: () => line.close(),
  };
}

function toolsBy(ask: Ask, fileOf: (bytes: Buffer) => FileReference): Tools {
  return {
    has: async (tool) => (await ask({ verb: "has", tool })) === true,
    configure: async (address, file) =>
      void (await ask({ verb: "configure", address, file: fileOf(file) })),
    programUser: async (address, file) =>
      void (await ask({ verb: "program-user", address, file: fileOf(file) })),
    resetUser: async (address) => void (await ask({ verb: "reset-user", address })),
    describeAfi: async (address) =>
      ((await ask({ verb: "describe-afi", address })) ?? undefined) as AfiSlot | undefined,
    loadAfi: async (slot, agfi) => void (await ask({ verb: "load-afi", slot, agfi })),
    clearAfi: async (slot) => void (await ask({ verb: "clear-afi", slot })),
  };
}

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

class HelperLine {
  readonly #path: string;
  readonly #connect: ConnectLines;
  readonly #waiting = new Map<number, Waiting>();
  #socket: Promise<LineSocket> | undefined;
  #next = 1;

  constructor(path: string, connect: ConnectLines) {
    this.#path = path;
    this.#connect = connect;
  }

  /** Rejects with the helper's own fault or errno; TRY_AGAIN when it is not there, or went away. */
  async ask(request: HelperRequest): Promise<unknown> {
    const socket = await this.#open();
    const id = this.#next++;
    return await new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      socket.send(JSON.stringify({ id, request }));
    });
  }

  close(): void {
    void this.#socket?.then((socket) => socket.close());
  }

  #open(): Promise<LineSocket> {
    this.#socket ??= this.#connect(this.#path, {
      line: (text) => this.#hear(text),
      end: () => this.#lost(),
    }).catch((error: unknown) => {
      this.#socket = undefined;
      throw away(`it cannot be reached: ${error instanceof Error ? error.message : "?"}`);
    });
    return this.#socket;
  }

  #hear(text: string): void {
    const answer = helperAnswer.parse(JSON.parse(text));
    const waiting = this.#waiting.get(answer.id);
    this.#waiting.delete(answer.id);
    if ("error" in answer) waiting?.reject(errorOf(answer.error));
    else waiting?.resolve(answer.value);
  }

  #lost(): void {
    this.#socket = undefined;
    const cut = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const { reject } of cut) reject(away("it ended in the middle"));
  }
}

interface HelperError {
  readonly kind: "fault" | "errno";
  readonly code: string;
  readonly message: string;
  readonly detail?: Readonly<Record<string, unknown>> | undefined;
}

function errorOf({ kind, code, message, detail }: HelperError): Error {
  if (kind === "errno") return Object.assign(new Error(message), { code });
  const known = Object.hasOwn(faults, code) ? (code as FaultCode) : "INTERNAL";
  return new Fault(known, message, detail ?? {});
}

function away(why: string): Fault {
  return new Fault("TRY_AGAIN", `gatehouse-helper: ${why}`);
}
