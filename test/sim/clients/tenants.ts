import { projects } from "../images.ts";
import type { Op } from "../ops.ts";
import type { Random } from "../random.ts";
import type { KnownClaims } from "./known.ts";
import type { Line } from "./line.ts";
import type { ClientParts } from "./parts.ts";
import { classes } from "./profile.ts";
import { heldBy, type View } from "./view.ts";

/** A request for claims with what it was answered, for those who repeat it. */
interface Asked {
  readonly project: string;
  readonly key: string;
  readonly body: object;
  /** When it was sent for the first time, ms. */
  from?: number;
  ids: string | undefined;
}

/** Tenants at the native door: they claim, change what they have, and give it back. */
export class Tenants {
  readonly #parts: ClientParts;
  readonly #line: Line;
  readonly #known: KnownClaims;
  readonly #asked: Asked[] = [];

  constructor(parts: ClientParts, line: Line, known: KnownClaims) {
    this.#parts = parts;
    this.#line = line;
    this.#known = known;
  }

  async claim(op: Op, random: Random): Promise<void> {
    const project = random.of(projects);
    const asked: Asked = {
      project,
      key: `key ${op.id}`,
      body: this.#wanted(project, random),
      ids: undefined,
    };
    this.#asked.push(asked);
    await this.#askFor(asked, random);
  }

  /** Sends an earlier request for claims once more, by its own key. */
  async repeat(random: Random): Promise<void> {
    if (this.#asked.length === 0) return;
    await this.#askFor(random.of(this.#asked), random);
  }

  async release(op: Op, random: Random): Promise<void> {
    const one = this.#known.native(random);
    if (one === undefined) return;
    this.#parts.judge.mayEnd(one.id, "release");
    const seen = await this.#line.insist(random, "claims", "releaseClaim", {
      project: one.project,
      roles: "member",
      path: { claim: one.id },
      key: `key ${op.id}`,
    });
    if (seen?.statusCode === 200 || seen?.statusCode === 404) this.#known.over(one);
  }

  /** Asks something of one of the claims. */
  async change(
    op: Op,
    random: Random,
    operation: "attachClaim" | "detachClaim" | "renewClaim" | "programClaim",
    body: object | undefined,
  ): Promise<void> {
    const one = this.#known.native(random);
    if (one === undefined) return;
    await this.#line.insist(random, "claims", operation, {
      project: one.project,
      roles: "member",
      path: { claim: one.id },
      key: `key ${op.id}`,
      ...(body === undefined ? {} : { body }),
    });
  }

  async attach(op: Op, random: Random): Promise<void> {
    const target = { hypervisor: "libvirt", domain: `vm-${random.below(3)}` };
    await this.change(op, random, "attachClaim", target);
  }

  async program(op: Op, random: Random): Promise<void> {
    const image = random.of(this.#parts.shelf.all).row.id;
    const replug = random.chance(0.5);
    await this.change(op, random, "programClaim", { image, ...(replug ? { replug } : {}) });
  }

  #wanted(project: string, random: Random): object {
    const mine = this.#parts.shelf.visibleTo(project);
    const what = random.of<() => object>([
      () => ({ resourceClass: random.of(classes) }),
      () => ({ resourceClass: random.of(classes) }),
      () => ({ image: random.of(mine).row.id }),
      () => ({ image: random.of(mine).row.id }),
      () => ({ type: random.of(mine).row.type }),
      () => ({ resourceClass: random.of(classes), count: 1 + random.below(3) }),
    ])();
    return {
      ...what,
      ...(random.chance(0.3) ? { instance: `vm ${random.below(5)}` } : {}),
      ...(random.chance(0.4) ? { leaseSeconds: 30 + random.below(300) } : {}),
    };
  }

  async #askFor(asked: Asked, random: Random): Promise<void> {
    const { time, judge } = this.#parts;
    const { project, key, body } = asked;
    // A repeat is answered with what the first one did, whenever that was.
    asked.from ??= time.elapsed;
    const request = { project, roles: "member", body, key } as const;
    const seen = await this.#line.insist(random, "claims", "createClaims", request);
    if (seen === undefined) return;
    if (seen.statusCode < 300) {
      const { claims } = JSON.parse(seen.body) as { claims: readonly View[] };
      this.#granted(asked, claims, asked.from);
    } else if (asked.ids !== undefined) {
      judge.fail("once", `a request that was granted is answered ${seen.statusCode}: ${seen.body}`);
    }
  }

  /** Checks a granting answer, and remembers what was granted when it is the first one. */
  #granted(asked: Asked, claims: readonly View[], from: number): void {
    const { time, judge, history } = this.#parts;
    const { project, body } = asked;
    const ids = claims.map(({ id }) => id).join();
    if (asked.ids !== undefined && asked.ids !== ids) {
      judge.fail("once", `a request was answered with other claims than before`);
    }
    const isFirst = asked.ids === undefined;
    asked.ids = ids;
    for (const claim of claims) {
      if (claim.project !== project) judge.fail("tenant", `${project} was given another's claim`);
      if (!isFirst) continue;
      const { instance } = body as { instance?: string };
      this.#known.add({ id: claim.id, project, isArq: false, instance });
      if (claim.state === "BindStarted") history.held(...heldBy(claim, from, time.elapsed));
    }
  }
}
