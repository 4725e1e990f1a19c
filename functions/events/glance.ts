import { randomUUID } from "node:crypto";
import { isFault } from "#domain/faults";
import type { Image } from "#domain/image";
import type { OpenStack } from "#openstack/cloud";
import { dueRows } from "#store/due";
import { valueOf } from "#store/rows";
import { type Create, type Environment, entry } from "../entry.ts";
import { bring, type Copying } from "../glance/copy.ts";
import { oweRegistrations, register } from "../glance/register.ts";
import { type Followed, type Following, followImages } from "../glance/sync.ts";
import { ingest } from "../ingest/ingest.ts";
import { bucketFrom } from "../parts/bucket.ts";
import { uploaderFrom } from "../parts/bucket-upload.ts";
import { openstackFrom, openstackSettingsFrom } from "../parts/openstack.ts";
import { settingsFrom } from "../parts/settings.ts";
import { storeFrom } from "../parts/store.ts";

/** Who lives with Glance by the clock. */
export interface Living extends Following, Omit<Copying, "judge" | "bucket"> {
  readonly bucket: ReturnType<typeof bucketFrom>;
  /** True: our own images are registered there. */
  readonly registers: boolean;
}

/** What one tick did, for its log line and for tests. */
export interface Lived extends Followed {
  readonly brought: number;
  readonly registered: number;
  readonly failures: number;
}

/** No copy is begun after this, in ms of a tick of 300 s: the largest still has to fit in. */
const mostMs = 120_000;

/**
 * Follows Glance's images, brings those that wait on, and registers ours. Each on its own: one that
 * fails holds up no other and is done by a later tick.
 */
export async function liveWithGlance(living: Living): Promise<Lived> {
  const { store, registers, log } = living;
  const followed = { seen: 0, added: 0, changed: 0, compared: false };
  const lived = { ...followed, brought: 0, registered: 0, failures: 0 };
  const began = store.now();
  const attempt = async (act: () => Promise<void>) => {
    try {
      await act();
    } catch (error) {
      lived.failures += 1;
      if (isFault(error)) log(error.message);
      else console.error(error);
    }
  };
  await attempt(async () => void Object.assign(lived, await followImages(living)));
  if (registers && lived.compared) {
    await attempt(async () => void (await oweRegistrations(living)));
  }
  for await (const item of dueRows(store, "GLANCE")) {
    if (store.now() - began > mostMs) break;
    const image = valueOf<Image>(item);
    await attempt(async () => {
      if (image.glance !== undefined) lived.brought += (await bring(living, image.id)) ? 1 : 0;
      else if (registers) lived.registered += (await register(living, image.id)) ? 1 : 0;
    });
  }
  return lived;
}

/** What living with this Glance takes in this installation. */
export function livingFrom(environment: Environment, openstack: OpenStack): Living {
  const settings = settingsFrom(environment);
  const ingesting = { store: storeFrom(environment), bucket: bucketFrom(environment), settings };
  return {
    ...ingesting,
    openstack,
    uploader: uploaderFrom(environment),
    maxImageBytes: settings.maxImageBytes,
    holder: randomUUID(),
    registers: openstackSettingsFrom(environment).glance === "write",
    pageSize: 100,
    log: (message) => console.warn(message),
    judge: async ({ objectKey }, manifest) => await ingest(ingesting, { key: objectKey }, manifest),
  };
}

/** The clock, once a minute; without OpenStack or with GATEHOUSE_GLANCE off it does nothing. */
export const create: Create = (environment) => {
  const openstack = openstackFrom(environment);
  const isOff = openstackSettingsFrom(environment).glance === "off" || openstack === undefined;
  if (isOff) return async () => await Promise.resolve({});
  const living = livingFrom(environment, openstack);
  return async () => await liveWithGlance({ ...living, holder: randomUUID() });
};

export const handler = entry(create);
