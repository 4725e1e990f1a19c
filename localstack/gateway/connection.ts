import type { WebSocket } from "ws";
import type { ConnectionFacts, ConnectionInfo } from "./socket-event.ts";

/** Gateway limits of a connection, milliseconds. */
export interface SocketTimers {
  readonly idleMs: number;
  readonly maxMs: number;
}

/** Largest frame API Gateway takes and sends, bytes (serverless.md §9). */
export const largestFrame = 32 * 1024;

/** One open connection with its gateway timers. */
export interface Connection {
  readonly facts: ConnectionFacts;
  info(): ConnectionInfo;
  /** Restarts the idle timer. */
  touch(): void;
  /** Sends one text message in frames of at most 32 KB; rejects when the peer is gone. */
  send(data: Buffer): Promise<void>;
  isOpen(): boolean;
  close(code: number, reason: string): void;
  /** Cuts the connection without a closing handshake. */
  cut(): void;
}

function sendFrame(socket: WebSocket, data: Buffer, fin: boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.send(data, { binary: false, fin }, (error) =>
      error === undefined || error === null ? resolve() : reject(error),
    );
  });
}

/** Wraps an accepted socket. Timers do not keep the process alive. */
export function openConnection(
  socket: WebSocket,
  facts: ConnectionFacts,
  timers: SocketTimers,
  now: () => number,
): Connection {
  let lastActiveAt = facts.connectedAt;
  const close = (code: number, reason: string): void => socket.close(code, reason);
  const away = (): void => close(1001, "Going away");
  const idle = setTimeout(away, timers.idleMs).unref();
  const end = setTimeout(away, timers.maxMs).unref();
  socket.once("close", () => {
    clearTimeout(idle);
    clearTimeout(end);
  });
  const touch = (): void => {
    lastActiveAt = now();
    idle.refresh();
  };
  const isOpen = (): boolean => socket.readyState === socket.OPEN;

  return {
    facts,
    info: () => {
      const { domainName: _, ...known } = facts;
      return { ...known, lastActiveAt };
    },
    touch,
    async send(data) {
      touch();
      const frames: Promise<void>[] = [];
      // Started without waiting in between: fragments of two messages must not mix.
      for (let start = 0; start === 0 || start < data.length; start += largestFrame) {
        const stop = start + largestFrame;
        frames.push(sendFrame(socket, data.subarray(start, stop), stop >= data.length));
      }
      await Promise.all(frames);
    },
    isOpen,
    close,
    cut: () => socket.terminate(),
  };
}
