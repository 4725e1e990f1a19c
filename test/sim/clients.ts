import { releaseClaim } from "#store/release";
import { Developers } from "./clients/developers.ts";
import { KnownClaims } from "./clients/known.ts";
import { Line } from "./clients/line.ts";
import { Nova } from "./clients/nova.ts";
import { Operators } from "./clients/operators.ts";
import type { ClientParts } from "./clients/parts.ts";
import { Readers } from "./clients/readers.ts";
import { Tenants } from "./clients/tenants.ts";
import type { ClientOp, Op } from "./ops.ts";
import type { Random } from "./random.ts";

type Acts = Readonly<Record<ClientOp["kind"], (op: Op, random: Random) => Promise<void>>>;

/** Tenants and operators: what they do follows from each op's own numbers and what they know by then. */
export class Clients {
  readonly #parts: ClientParts;
  readonly #line: Line;
  readonly #operators: Operators;
  readonly #acts: Acts;

  constructor(parts: ClientParts) {
    this.#parts = parts;
    this.#line = new Line(parts);
    this.#operators = new Operators(parts, this.#line);
    this.#acts = actsOf(parts, this.#line, this.#operators);
  }

  /** Requests that were sent, for the rate that is printed. */
  get requests(): number {
    return this.#line.requests;
  }

  async act(op: ClientOp): Promise<void> {
    await this.#acts[op.kind](op, this.#parts.streams(`op ${op.id}`));
  }

  /** Ends everything that is still held; true when nothing is. */
  async releaseAll(): Promise<boolean> {
    const { judge } = this.#parts;
    for (const { id, project } of judge.claims.values()) {
      judge.mayEnd(id, "release");
      await this.#line.store(async (store) => void (await releaseClaim(store, id)));
      this.#parts.log(`${project} ends ${id}`);
    }
    return judge.claims.size === 0;
  }

  async enable(deployable: string): Promise<void> {
    await this.#operators.enable(deployable);
  }

  async activate(host: string): Promise<void> {
    await this.#operators.activate(host);
  }
}

/** Who does what. */
function actsOf(parts: ClientParts, line: Line, operators: Operators): Acts {
  const known = new KnownClaims(parts);
  const tenants = new Tenants(parts, line, known);
  const readers = new Readers(parts, line, known);
  const nova = new Nova(parts, line, known);
  const developers = new Developers(parts);
  return {
    claim: (op, random) => tenants.claim(op, random),
    repeat: (_, random) => tenants.repeat(random),
    release: (op, random) => tenants.release(op, random),
    get: (_, random) => readers.get(random),
    list: (_, random) => readers.list(random),
    attach: (op, random) => tenants.attach(op, random),
    detach: (op, random) => tenants.change(op, random, "detachClaim", undefined),
    program: (op, random) => tenants.program(op, random),
    renew: (op, random) => tenants.change(op, random, "renewClaim", { leaseSeconds: 30 }),
    foreign: (_, random) => readers.foreign(random),
    "arq-create": (op, random) => nova.create(op, random),
    "arq-bind": (_, random) => nova.bind(random),
    "arq-unbind": (_, random) => nova.unbind(random),
    "arq-delete": (_, random) => nova.delete(random),
    disable: (op, random) => operators.operate(op, "disableDeployable", random),
    enable: (op, random) => operators.operate(op, "enableDeployable", random),
    drain: (op, random) => operators.host(op, "drainHost", random),
    activate: (op, random) => operators.host(op, "activateHost", random),
    takeover: (op, random) => operators.takeOver(op, random),
    retire: (_, random) => operators.retire(random),
    upload: (op, random) => developers.upload(op, random),
    tag: (_, random) => developers.tag(random),
  };
}
