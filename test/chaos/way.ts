import type { AddressInfo } from "node:net";
import { connect, createServer, type Server, type Socket } from "node:net";

/** How a way between a host and the cloud treats what travels on it. */
export type WayMode =
  | { readonly kind: "open" }
  /** Each piece arrives so many ms later. */
  | { readonly kind: "slow"; readonly ms: number }
  /** Nothing arrives in one direction, and nobody is told. */
  | { readonly kind: "deaf"; readonly from: "host" | "cloud" }
  /** What is open ends, and nothing new gets through. */
  | { readonly kind: "cut" };

/** A TCP proxy on the way from one host to the cloud. */
export interface Way {
  readonly port: number;
  readonly set: (mode: WayMode) => void;
  /** Ends what is open; new connections get through as the mode says. */
  readonly reset: () => void;
  readonly close: () => Promise<void>;
}

/** Opens a way to `target` on this machine. */
export async function openWay(target: number): Promise<Way> {
  let mode: WayMode = { kind: "open" };
  const pairs = new Set<readonly [Socket, Socket]>();
  const reset = () => {
    for (const pair of pairs) for (const socket of pair) socket.destroy();
    pairs.clear();
  };
  const server = createServer((host) => {
    if (mode.kind === "cut") {
      host.resetAndDestroy();
      return;
    }
    const cloud = connect(target, "127.0.0.1");
    const pair = [host, cloud] as const;
    pairs.add(pair);
    carry(host, cloud, () => (mode.kind === "deaf" && mode.from === "host" ? undefined : mode));
    carry(cloud, host, () => (mode.kind === "deaf" && mode.from === "cloud" ? undefined : mode));
    for (const socket of pair) socket.once("close", () => pairs.delete(pair));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    set: (next) => {
      mode = next;
      if (mode.kind === "cut") reset();
    },
    reset,
    close: async () => {
      reset();
      await closed(server);
    },
  };
}

/** Bytes in order: a piece that is slow holds up those behind it. */
function carry(from: Socket, to: Socket, mode: () => WayMode | undefined): void {
  let last = Promise.resolve();
  from.on("data", (piece) => {
    const now = mode();
    if (now === undefined) return;
    const wait = now.kind === "slow" ? now.ms : 0;
    const due = Date.now() + wait;
    last = last.then(async () => {
      const left = due - Date.now();
      if (left > 0) await new Promise((resolve) => setTimeout(resolve, left));
      if (!to.destroyed) to.write(piece);
    });
  });
  from.on("error", () => undefined);
  from.on("close", () => void last.then(() => to.destroy()));
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}
