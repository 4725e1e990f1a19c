/** Services of an OpenStack cloud by their type in the catalog. */
export type Service = "identity" | "placement" | "image" | "compute" | "accelerator";

/** One request to a service. `path` starts with `/` and follows the service's endpoint. */
export interface OpenStackCall {
  readonly service: Service;
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE" | "HEAD";
  readonly path: string;
  readonly query?: Readonly<Record<string, string | undefined>>;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as JSON; `body` is sent as it is. */
  readonly json?: unknown;
  readonly body?: string | Uint8Array | ReadableStream<Uint8Array>;
  /** Ends the wait for an answer; 10 s when nothing is said. */
  readonly timeoutMs?: number;
  /** Sends somebody else's token instead of our own session's. */
  readonly token?: string;
}

/** A service's answer, whatever its status: callers judge. */
export interface OpenStackReply {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

/**
 * One OpenStack cloud as one account sees it. `send` finds the endpoint in the catalog (or among the
 * configured ones), adds the session's token, and renews the token once on 401. Throws
 * Fault OPENSTACK_UNAVAILABLE when a service cannot be reached, times out, or Keystone refuses us.
 */
export interface OpenStack {
  readonly send: (call: OpenStackCall) => Promise<OpenStackReply>;
  /** As `send`, but the answer's body is not read: for bitstreams. */
  readonly open: (call: OpenStackCall) => Promise<Response>;
  /** The endpoint of a service without a slash at its end; undefined when the cloud has none. */
  readonly endpoint: (service: Service) => Promise<string | undefined>;
}
