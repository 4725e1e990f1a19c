import type { EventBridgeEvent } from "aws-lambda";
import { type Create, entry } from "../entry.ts";
import { type Ingesting, ingest } from "../ingest/ingest.ts";
import { takeUpJudgements } from "../ingest/take-up.ts";
import { bucketFrom } from "../parts/bucket.ts";
import { openstackSettingsFrom } from "../parts/openstack.ts";
import { settingsFrom } from "../parts/settings.ts";
import { storeFrom } from "../parts/store.ts";

/** What S3 says through EventBridge; keys are plain text there, not URL-encoded. */
interface ObjectDetail {
  readonly object: { readonly key: string; readonly "version-id"?: string };
}

const manifestSuffix = ".manifest.json";

/** A put, a tagging or a signature beside an object leads to the same judgement. */
export async function objectChanged(ingesting: Ingesting, detail: ObjectDetail): Promise<void> {
  const { key, "version-id": version } = detail.object;
  const object = key.endsWith(manifestSuffix)
    ? { key: key.slice(0, -manifestSuffix.length) }
    : { key, version };
  await ingest(ingesting, object);
}

const isClock = (event: { readonly source: string }) => event.source === "aws.events";

/** "Object Created" and "Object Tags Added" of the image bucket, and the clock. */
export const create: Create = (environment) => {
  const ingesting: Ingesting = {
    store: storeFrom(environment),
    bucket: bucketFrom(environment),
    settings: settingsFrom(environment),
    registers: openstackSettingsFrom(environment).glance === "write",
  };
  return async (event) => {
    const said = event as EventBridgeEvent<string, ObjectDetail>;
    if (isClock(said)) return await takeUpJudgements(ingesting);
    return await objectChanged(ingesting, said.detail);
  };
};

export const handler = entry(create);
