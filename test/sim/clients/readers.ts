import { projects } from "../images.ts";
import type { Random } from "../random.ts";
import type { KnownClaims } from "./known.ts";
import type { Line } from "./line.ts";
import type { ClientParts } from "./parts.ts";
import { heldBy, type View } from "./view.ts";

/** Who reads claims, and who looks for those of others: each answer is checked. */
export class Readers {
  readonly #parts: ClientParts;
  readonly #line: Line;
  readonly #known: KnownClaims;

  constructor(parts: ClientParts, line: Line, known: KnownClaims) {
    this.#parts = parts;
    this.#line = line;
    this.#known = known;
  }

  async get(random: Random): Promise<void> {
    const one = this.#known.some(random);
    if (one === undefined) return;
    const { time, history, judge } = this.#parts;
    const from = time.elapsed;
    const seen = await this.#line.ask("claims", "getClaim", {
      project: one.project,
      // A reader gets no permit, which would be signed in a thread of its own.
      roles: "reader",
      path: { claim: one.id },
    });
    if (seen?.statusCode === 404) this.#known.over(one);
    if (seen?.statusCode !== 200) return;
    const claim = JSON.parse(seen.body) as View;
    if (claim.project !== one.project) judge.fail("tenant", `${one.project} sees ${claim.id}`);
    const isHeld = claim.state === "Bound" && !one.isArq;
    if (isHeld && !random.chance(0.1)) history.held(...heldBy(claim, from, time.elapsed));
    if (claim.state === "BindFailed") history.over(one.id, time.elapsed);
  }

  async list(random: Random): Promise<void> {
    const project = random.of(projects);
    const seen = await this.#line.ask("claims", "listClaims", { project, roles: "reader" });
    if (seen?.statusCode !== 200) return;
    const { items } = JSON.parse(seen.body) as { items: readonly View[] };
    const other = items.find((claim) => claim.project !== project);
    if (other !== undefined) this.#parts.judge.fail("tenant", `${project} lists ${other.id}`);
  }

  /** Another project's claim is not there, whatever is asked of it. */
  async foreign(random: Random): Promise<void> {
    const one = this.#known.some(random);
    if (one === undefined) return;
    const project = random.of(projects.filter((other) => other !== one.project));
    const operation = random.of(["getClaim", "releaseClaim", "detachClaim"] as const);
    const seen = await this.#line.ask("claims", operation, {
      project,
      roles: "member",
      path: { claim: one.id },
    });
    if (seen !== undefined && seen.statusCode < 300) {
      this.#parts.judge.fail("tenant", `${project} may ${operation} of ${one.project}`);
    }
  }
}
