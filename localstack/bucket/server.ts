import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { bucketHandler } from "./handler.ts";
import { type BucketOptions, openBucketStore } from "./store.ts";

/** A bucket store with its own port. */
export interface BucketServerOptions extends BucketOptions {
  /** 0 or absent: any free port. */
  readonly port?: number;
  /** 127.0.0.1 when absent. */
  readonly host?: string;
}

/** A running S3 stand-in. `close` cuts open connections off and waits until the data is at rest. */
export interface BucketServer {
  readonly endpoint: string;
  readonly port: number;
  close(): Promise<void>;
}

/** Longer than SDK agents keep sockets idle, so that none is closed under a request. */
const keepAliveMs = 60_000;

/**
 * Starts the S3 stand-in: path-style S3 with SigV4, versioning always on, objects on disk.
 * Rejects when the port is taken or another process has `dataDir` open.
 */
export async function startBucketServer(options: BucketServerOptions): Promise<BucketServer> {
  const store = await openBucketStore(options);
  const handle = bucketHandler(store);
  const running = new Set<Promise<void>>();
  const track = (work: Promise<void>): void => {
    running.add(work);
    void work.finally(() => running.delete(work));
  };
  const onContinue = (message: IncomingMessage, response: ServerResponse): void =>
    track(handle(message, response, () => response.writeContinue()));
  // Large images on slow lines outlast Node's limit of five minutes per request.
  const server = createServer({ keepAliveTimeout: keepAliveMs, requestTimeout: 0 });
  server.on("request", (message, response) => track(handle(message, response)));
  server.on("checkContinue", onContinue);
  const host = options.host ?? "127.0.0.1";
  try {
    await listen(server, options.port ?? 0, host);
  } catch (error) {
    await store.close();
    throw error;
  }
  const { port } = server.address() as AddressInfo;
  return {
    endpoint: `http://${host.includes(":") ? `[${host}]` : host}:${port}`,
    port,
    close: async () => {
      server.close();
      server.closeAllConnections();
      await Promise.all(running);
      await store.close();
    },
  };
}

function listen(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      resolve();
    });
  });
}
