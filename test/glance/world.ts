import type { ImageView } from "#protocol/http/images";
import { type Lived, liveWithGlance, livingFrom } from "../../functions/events/glance.ts";
import { openstackFrom } from "../../functions/parts/openstack.ts";
import { until } from "../../localstack/tour/steps.ts";
import { around } from "../offline/access.ts";
import type { Offline } from "../offline/support.ts";
import type { GlanceUser } from "./client.ts";

/** A Glance with its users, and an offline cloud that lives with it. */
export interface Surroundings {
  /** May do everything. */
  readonly admin: GlanceUser;
  /** Owner of private images. */
  readonly owner: { readonly user: GlanceUser; readonly project: string };
  readonly offline: Offline;
  readonly close: () => Promise<void>;
}

/** What a tick may be disturbed by. */
export interface Disturbance {
  readonly fetch?: typeof globalThis.fetch;
  /** Images of one page. */
  readonly pageSize?: number;
}

/** A world in which time passes only for who lives with Glance. */
export interface World extends Surroundings {
  /** One tick of the clock. */
  readonly tick: (disturbance?: Disturbance) => Promise<Lived>;
  readonly pass: (ms: number) => void;
  /** An image as an admin sees it. */
  readonly show: (id: string) => Promise<ImageView>;
  /** Ticks once and waits until the image is in this state. */
  readonly becomes: (id: string, state: ImageView["state"]) => Promise<ImageView>;
}

export function worldOf(surroundings: Surroundings): World {
  const { offline } = surroundings;
  const { environment } = offline.cloud;
  let passed = 0;
  const tick = async ({ fetch = globalThis.fetch, pageSize = 2 }: Disturbance = {}) => {
    const openstack = openstackFrom(environment, { fetch, now: Date.now });
    if (openstack === undefined) throw new Error("OpenStack is off");
    const living = livingFrom(environment, openstack);
    const store = { ...living.store, now: () => Date.now() + passed };
    const shifted = { ...living, store, pageSize, log: () => undefined };
    return (await around("glance", async () => await liveWithGlance(shifted))) as Lived;
  };
  const show = async (id: string) => await offline.as("ops")<ImageView>("GET", `/v1/images/${id}`);
  return {
    ...surroundings,
    tick,
    show,
    pass: (ms) => {
      passed += ms;
    },
    becomes: async (id, state) => {
      await tick();
      return await until(`image ${id} to be ${state}`, async () => {
        const image = await show(id);
        return image.state === state ? image : undefined;
      });
    },
  };
}
