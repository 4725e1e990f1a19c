import { imageLifecycle, next } from "#domain/lifecycle";
import { uuidOf } from "#protocol/uuid";
import { changeImage } from "#store/images";
import type { Op } from "../ops.ts";
import type { Random } from "../random.ts";
import type { Line } from "./line.ts";
import type { ClientParts } from "./parts.ts";

const admin = { project: "ops", roles: "admin" } as const;

/** Operators: they take cards and hosts in and out of use, and handles from hosts that are silent. */
export class Operators {
  readonly #parts: ClientParts;
  readonly #line: Line;

  constructor(parts: ClientParts, line: Line) {
    this.#parts = parts;
    this.#line = line;
  }

  /** Enables or disables one of the deployables. */
  async operate(
    op: Op,
    operation: "enableDeployable" | "disableDeployable",
    random: Random,
  ): Promise<void> {
    const path = { deployable: this.#deployable(random) };
    await this.#line.ask("deployables", operation, { ...admin, path, key: `key ${op.id}` });
  }

  /** Drains or activates one of the hosts. */
  async host(op: Op, operation: "drainHost" | "activateHost", random: Random): Promise<void> {
    const path = { host: random.of(this.#parts.hosts).id };
    await this.#line.ask("hosts", operation, { ...admin, path, key: `key ${op.id}` });
  }

  async enable(deployable: string): Promise<void> {
    await this.#line.ask("deployables", "enableDeployable", { ...admin, path: { deployable } });
  }

  async activate(host: string): Promise<void> {
    await this.#line.ask("hosts", "activateHost", { ...admin, path: { host } });
  }

  async takeOver(op: Op, random: Random): Promise<void> {
    const { judge } = this.#parts;
    const held = [...judge.deployables.values()].flatMap((one) =>
      Object.entries(one.handles).flatMap(([handle, { holder }]) =>
        holder === undefined ? [] : [{ one, handle, claim: holder.claim }],
      ),
    );
    const silent = held.filter(({ one }) => judge.beatOf(one.host)?.state === "offline");
    const from = silent.length > 0 ? silent : held;
    if (from.length === 0) return;
    const { one, handle, claim } = random.of(from);
    // Who holds it by the time of the call is found out there: any holder of it may lose it.
    for (const [name, { holder }] of Object.entries(one.handles)) {
      if (name === handle && holder !== undefined) judge.mayEnd(holder.claim, "takeover");
    }
    judge.mayEnd(claim, "takeover");
    await this.#line.insist(random, "deployables", "takeOverHandle", {
      ...admin,
      path: { deployable: one.id },
      body: { handle, reason: "the host is dead" },
      key: `key ${op.id}`,
    });
  }

  /** Retires one of the images that others may use; private ones stay. */
  async retire(random: Random): Promise<void> {
    const { row } = random.of(this.#parts.shelf.all);
    if (row.visibility === "private") return;
    await this.#line.store(async (store) => {
      await changeImage(store, row.id, (image) => {
        const state = next(imageLifecycle, image.state, "retire");
        return state === undefined ? image : { ...image, state };
      });
    });
  }

  #deployable(random: Random): string {
    const all = [...this.#parts.judge.deployables.keys()];
    return all.length === 0 ? uuidOf("none") : random.of(all);
  }
}
