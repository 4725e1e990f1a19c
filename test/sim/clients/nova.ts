import { providersOf } from "#domain/providers/providers";
import { providerId, uuidOf } from "#protocol/uuid";
import { createArqs, startBinding, unbindArq } from "#store/arqs";
import { claimsOfInstance, readClaim } from "#store/claims";
import { releaseClaim } from "#store/release";
import { assign } from "../../../functions/parts/binding.ts";
import { settings } from "../cloud.ts";
import { projects } from "../images.ts";
import type { Op } from "../ops.ts";
import type { Random } from "../random.ts";
import type { KnownClaims } from "./known.ts";
import type { Line } from "./line.ts";
import type { ClientParts } from "./parts.ts";
import { classes, profile } from "./profile.ts";

/** Nova: accelerator requests for its instances, as the OpenStack door passes them on. */
export class Nova {
  readonly #parts: ClientParts;
  readonly #line: Line;
  readonly #known: KnownClaims;

  constructor(parts: ClientParts, line: Line, known: KnownClaims) {
    this.#parts = parts;
    this.#line = line;
    this.#known = known;
  }

  async create(op: Op, random: Random): Promise<void> {
    const project = random.of(projects);
    const asks = { required: [], forbidden: [] };
    const ids = [uuidOf("arq", String(op.id), "0"), uuidOf("arq", String(op.id), "1")];
    const made = await this.#line.store((store) =>
      createArqs(store, {
        project,
        user: "nova",
        profile: profile.name,
        ids,
        wanted: classes.slice(0, 2).map((resourceClass, group) => ({ group, resourceClass, asks })),
        defaultQuota: settings.defaultQuota,
      }),
    );
    for (const { id } of made ?? []) {
      this.#known.add({ id, project, isArq: true, instance: undefined });
    }
  }

  /** Binds a request on a host that has a provider for it. */
  async bind(random: Random): Promise<void> {
    const one = this.#known.arq(random);
    const { cloud, hosts, judge } = this.#parts;
    const host = random.of(hosts);
    const there = [...judge.deployables.values()].filter((each) => each.host === host.id);
    const claim = one && judge.claims.get(one.id);
    if (one === undefined || claim === undefined) return;
    const providers = providersOf("pool", host.name, there, []);
    const fitting = providers.filter(({ resourceClass }) => resourceClass === claim.resourceClass);
    if (fitting.length === 0) return;
    one.instance = uuidOf("vm", String(random.below(1000)));
    const order = {
      host: host.id,
      hostName: host.name,
      provider: providerId(random.of(fitting).name),
      instance: one.instance,
    };
    await this.#line.refusable(() =>
      cloud.invoke(async ({ store, binding }) => {
        const known = await readClaim(store, one.id);
        if (known === undefined) return;
        const orders = [{ ...order, claim: known }];
        const started = await startBinding(store, orders, settings.bindDeadlineMs);
        for (const each of started) await assign(binding, each);
      }),
    );
  }

  async unbind(random: Random): Promise<void> {
    const one = this.#known.arq(random);
    if (one === undefined) return;
    this.#parts.judge.mayEnd(one.id, "unbind");
    await this.#line.store(async (store) => {
      const claim = await readClaim(store, one.id);
      if (claim !== undefined) await unbindArq(store, claim);
    });
  }

  /** Deletes what an instance has, or a request that has none. */
  async delete(random: Random): Promise<void> {
    const one = this.#known.arq(random);
    if (one === undefined) return;
    const { judge } = this.#parts;
    const { instance } = one;
    if (instance === undefined) {
      judge.mayEnd(one.id, "release");
      await this.#line.store((store) => releaseClaim(store, one.id));
      return;
    }
    await this.#line.store(async (store) => {
      for (const claim of await claimsOfInstance(store, instance)) {
        judge.mayEnd(claim.id, "release");
        await releaseClaim(store, claim);
      }
    });
  }
}
