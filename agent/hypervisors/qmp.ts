import { Fault } from "#domain/faults";
import type { ConnectLines, LineSocket } from "../host/line-socket.ts";

/** What QEMU says by itself, such as DEVICE_DELETED. */
export interface QmpEvent {
  readonly event: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** An error answer of QEMU: its class and its words. */
export class QmpError extends Error {
  readonly kind: string;

  constructor(kind: string, description: string) {
    super(description);
    this.name = "QmpError";
    this.kind = kind;
  }
}

interface Call {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

type Message = Readonly<Record<string, unknown>>;

/** One session on a QMP socket (host.md §4.3): one JSON text per line, answers matched by `id`. */
export class Qmp {
  /** Hears every event; set it before the command whose event is awaited. */
  onEvent: (event: QmpEvent) => void = () => undefined;
  readonly #calls = new Map<string, Call>();
  #socket: LineSocket | undefined;
  #ended = false;
  #last = 0;
  readonly #greeted = Promise.withResolvers<undefined>();

  readonly #over = Promise.withResolvers<never>();

  private constructor() {
    // The session may end with nobody waiting for either.
    this.#greeted.promise.catch(() => undefined);
    this.#over.promise.catch(() => undefined);
  }

  /** Rejects with PLUG_FAILED when the session ends. */
  get ended(): Promise<never> {
    return this.#over.promise;
  }

  /** Connects and leaves QEMU's negotiation mode. Rejects with the errno of the connect. */
  static async open(path: string, connect: ConnectLines, signal: AbortSignal): Promise<Qmp> {
    const qmp = new Qmp();
    const socket = await connect(path, {
      line: (text) => {
        qmp.#hear(text);
      },
      end: () => {
        qmp.#end();
      },
    });
    qmp.#socket = socket;
    signal.addEventListener("abort", () => {
      qmp.close();
    });
    if (signal.aborted) qmp.close();
    await qmp.#greeted.promise;
    await qmp.execute("qmp_capabilities");
    return qmp;
  }

  /** Runs a command. Rejects with {@link QmpError}, or PLUG_FAILED when the connection ended. */
  execute(command: string, args: Readonly<Record<string, unknown>> = {}): Promise<unknown> {
    if (this.#ended) return Promise.reject(closedEarly());
    this.#last += 1;
    const id = String(this.#last);
    return new Promise((resolve, reject) => {
      this.#calls.set(id, { resolve, reject });
      this.#socket?.send(JSON.stringify({ execute: command, arguments: args, id }));
    });
  }

  /** Ends the session; what is still awaited rejects. */
  close(): void {
    this.#socket?.close();
    this.#end();
  }

  #hear(text: string): void {
    const message = parsed(text);
    if (message === undefined) this.close();
    else if ("QMP" in message) this.#greeted.resolve(undefined);
    else if (typeof message["event"] === "string") {
      this.onEvent({ event: message["event"], data: record(message["data"]) });
    } else this.#answer(message);
  }

  #answer(message: Message): void {
    const { id } = message;
    const call = typeof id === "string" ? this.#calls.get(id) : undefined;
    if (typeof id !== "string" || call === undefined) return;
    this.#calls.delete(id);
    if (!("error" in message)) call.resolve(message["return"]);
    else {
      const { class: kind, desc } = record(message["error"]);
      call.reject(new QmpError(wordsOf(kind), wordsOf(desc)));
    }
  }

  #end(): void {
    this.#ended = true;
    this.#greeted.reject(closedEarly());
    this.#over.reject(closedEarly());
    for (const { reject } of this.#calls.values()) reject(closedEarly());
    this.#calls.clear();
  }
}

const closedEarly = (): Fault => new Fault("PLUG_FAILED", "QEMU closed the QMP connection");

function parsed(text: string): Message | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Message) : undefined;
  } catch {
    return undefined;
  }
}

/** A guest may have taken its QEMU over: what it says is not even sure to have a text. */
function wordsOf(value: unknown): string {
  return typeof value === "string" ? value : "no reason";
}

function record(value: unknown): Message {
  return typeof value === "object" && value !== null ? (value as Message) : {};
}
