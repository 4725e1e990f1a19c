import { isFault } from "#domain/faults";
import type { Store } from "#store/store";
import type { Door, Seen } from "../cloud.ts";
import type { Random } from "../random.ts";
import type { Operation, Request } from "../request.ts";
import type { ClientParts } from "./parts.ts";

/** How clients reach the cloud: over HTTP, or below the wire of the OpenStack door. */
export class Line {
  readonly #parts: ClientParts;
  /** Requests that were sent, for the rate that is printed. */
  requests = 0;

  constructor(parts: ClientParts) {
    this.#parts = parts;
  }

  /** One request; throws when the answer is 500, which nobody should ever see. */
  async ask(door: Door, operation: Operation, request: Request): Promise<Seen> {
    this.requests += 1;
    const seen = await this.#parts.cloud.ask(door, operation, request);
    const code = seen?.statusCode ?? "nothing";
    this.#parts.log(`${request.project} ${operation} ${short(request)} → ${code}`);
    if (seen?.statusCode === 500) throw new Error(`${operation} broke: ${seen.body}`);
    return seen;
  }

  /** Asks again, by the same key, while nobody knows what became of it. */
  async insist(random: Random, door: Door, operation: Operation, request: Request): Promise<Seen> {
    for (let tries = 0; ; tries += 1) {
      const seen = await this.ask(door, operation, request);
      if (seen !== undefined && seen.statusCode < 500) return seen;
      if (tries === 3 || random.chance(0.2)) return undefined;
      await this.#parts.time.sleep(100 + random.below(8000));
    }
  }

  /** Runs what the OpenStack door does below its own wire; undefined when it was refused. */
  async store<Answer>(run: (store: Store) => Promise<Answer>): Promise<Answer | undefined> {
    return await this.refusable(() =>
      this.#parts.cloud.invoke(async ({ store }) => await run(store)),
    );
  }

  /** Runs something as one request; a refusal is an answer and gives undefined. */
  async refusable<Answer>(run: () => Promise<Answer>): Promise<Answer | undefined> {
    this.requests += 1;
    try {
      return await run();
    } catch (error) {
      if (!isFault(error) || error.code === "INTERNAL") throw error;
      this.#parts.log(`refused: ${error.code} ${error.message}`);
      return undefined;
    }
  }
}

function short({ path, body, key }: Request): string {
  return JSON.stringify({ ...path, ...(key === undefined ? {} : { key }), ...(body && { body }) });
}
