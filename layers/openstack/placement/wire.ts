import * as z from "zod/mini";
import { Fault } from "#domain/faults";
import type { OpenStack, OpenStackCall, OpenStackReply } from "../cloud.ts";
import { refusalOf } from "./refusal.ts";

/** The newest microversion that is spoken here. */
const newest = 39;
/**
 * The oldest that will do: consumer generations came with 1.28, and before 1.29 no scheduler found
 * the providers under a host (openstack.md §2). Older ones left support years ago.
 */
const oldest = 29;
/** From here on a provider can be moved under another parent, and `consumer_type` is demanded. */
export const movingVersion = 37;
export const consumerTypeVersion = 38;

const versions = z.object({
  versions: z.array(z.object({ max_version: z.string() })),
});

export type PlacementCall = Omit<OpenStackCall, "service" | "headers">;

/** Placement at the one microversion that both sides know, asked for with the first call. */
export class PlacementWire {
  readonly #openstack: OpenStack;
  #minor: Promise<number> | undefined;

  constructor(openstack: OpenStack) {
    this.#openstack = openstack;
  }

  /** False when the cloud has no Placement. */
  async isThere(): Promise<boolean> {
    return (await this.#openstack.endpoint("placement")) !== undefined;
  }

  /** The minor number of the microversion in use. */
  async minor(): Promise<number> {
    this.#minor ??= this.#negotiate();
    try {
      return await this.#minor;
    } catch (error) {
      this.#minor = undefined;
      throw error;
    }
  }

  /**
   * The answer, whatever it is, but for a service that cannot answer: Fault OPENSTACK_UNAVAILABLE.
   */
  async ask(call: PlacementCall): Promise<OpenStackReply> {
    const version = `placement 1.${await this.minor()}`;
    const headers = { "openstack-api-version": version };
    return awake(await this.#openstack.send({ ...call, service: "placement", headers }));
  }

  /** The answer to a call that must succeed; throws PlacementRefusal otherwise. */
  async need(call: PlacementCall): Promise<OpenStackReply> {
    const reply = await this.ask(call);
    if (reply.status >= 400) throw refusalOf(reply);
    return reply;
  }

  /** The body of a call that must succeed; undefined when what it names is not there (404). */
  async find<Schema extends z.ZodMiniType>(
    path: string,
    schema: Schema,
  ): Promise<z.infer<Schema> | undefined> {
    const reply = await this.ask({ method: "GET", path });
    if (reply.status === 404) return undefined;
    if (reply.status >= 400) throw refusalOf(reply);
    return bodyOf(reply, schema);
  }

  async #negotiate(): Promise<number> {
    const call = { service: "placement", method: "GET", path: "/" } as const;
    const reply = awake(await this.#openstack.send(call));
    if (reply.status >= 400) throw refusalOf(reply);
    const [only] = bodyOf(reply, versions).versions;
    const minor = Number(/^1\.(\d+)$/.exec(only?.max_version ?? "")?.[1] ?? "0");
    if (minor >= oldest) return Math.min(minor, newest);
    throw new Fault("OPENSTACK_UNAVAILABLE", `Placement does not speak microversion 1.${oldest}`, {
      service: "placement",
    });
  }
}

/** Reads a body; one that is not as Placement writes it comes from something else in its place. */
export function bodyOf<Schema extends z.ZodMiniType>(
  { text }: OpenStackReply,
  schema: Schema,
): z.infer<Schema> {
  try {
    return schema.parse(JSON.parse(text));
  } catch (cause) {
    const detail = { service: "placement" };
    throw new Fault("OPENSTACK_UNAVAILABLE", "Placement's answer is not understood", detail, {
      cause,
    });
  }
}

function awake(reply: OpenStackReply): OpenStackReply {
  if (reply.status < 500) return reply;
  throw new Fault("OPENSTACK_UNAVAILABLE", `Placement answered ${reply.status}`, {
    service: "placement",
  });
}
