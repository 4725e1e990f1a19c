import { startDatabase } from "./database.ts";
import { type Glance, startGlance } from "./glance.ts";
import { type Keystone, startKeystone } from "./keystone.ts";
import { startNeutron } from "./neutron.ts";
import { type Nova, startNova } from "./nova.ts";
import { startKeystonePlacement } from "./placement.ts";
import { startRabbitMq } from "./rabbitmq.ts";

/** Everything a server with accelerators needs but the accelerator service. */
export interface Stack {
  readonly keystone: Keystone;
  readonly placement: { readonly url: string };
  readonly glance: Pick<Glance, "url">;
  readonly nova: Nova;
  readonly stop: () => Promise<void>;
}

/**
 * Keystone, Placement, Glance, Nova and what they stand on; all are in the catalog. Half a minute, the
 * first time on a machine a minute more.
 */
export async function startStack(): Promise<Stack> {
  const started: (() => Promise<void>)[] = [];
  const own = async <Service extends { readonly stop: () => Promise<void> }>(
    starting: Promise<Service>,
  ): Promise<Service> => {
    const service = await starting;
    started.push(service.stop);
    return service;
  };
  const stop = async () => {
    for (const one of started.toReversed()) await one();
  };
  try {
    const [database, rabbit, keystone] = await all([
      own(startDatabase()),
      own(startRabbitMq()),
      own(startKeystone()),
    ]);
    const [placement, glance] = await all([
      own(startKeystonePlacement(keystone, database)),
      own(startGlance(keystone)),
      own(startNeutron()).then(async ({ url }) => await keystone.catalog.endpoint("network", url)),
    ]);
    const nova = await own(startNova({ keystone, database, rabbit }));
    return { keystone, placement, glance, nova, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** As Promise.all, but waits for all even when one fails: what has started must be stopped. */
async function all<const Parts extends readonly Promise<unknown>[]>(
  parts: Parts,
): Promise<{ -readonly [Index in keyof Parts]: Awaited<Parts[Index]> }> {
  await Promise.allSettled(parts);
  return await Promise.all(parts);
}
