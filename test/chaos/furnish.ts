import { PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import type { DeployableView } from "#protocol/http/deployables";
import type { ImageView } from "#protocol/http/images";
import { dflCard } from "../../agent/host/memory-kernel/cards.ts";
import { compressionGbs, cryptoGbs } from "../../localstack/tour/bitstreams.ts";
import { until } from "../../localstack/tour/steps.ts";
import { arqProfile, type Provider } from "./arq-client.ts";
import { type Caller, isDone } from "./caller.ts";
import { credentials } from "./cloud.ts";

/** Uploads two images for everyone, and waits until they are active; answers their ids. */
export async function uploadImages(caller: Caller, endpoint: string): Promise<readonly string[]> {
  const s3 = new S3Client({ endpoint, region: "us-east-1", credentials, forcePathStyle: true });
  const { interfaceId } = dflCard(0);
  const bitstreams = [cryptoGbs(interfaceId), compressionGbs(interfaceId)];
  for (const { file, vendor, type, bytes } of bitstreams) {
    const tags = { FPGA: "true", vendor, type, visibility: "public" };
    await s3.send(
      new PutObjectCommand({
        Bucket: "gatehouse-images",
        Key: `images/ops/${file}`,
        Body: bytes,
        Tagging: new URLSearchParams(tags).toString(),
      }),
    );
  }
  s3.destroy();
  return await until("images to be active", async () => {
    const images = await caller.list<ImageView>("/v1/images");
    const active = images.filter(({ state }) => state === "active");
    return active.length === bitstreams.length ? active.map(({ id }) => id) : undefined;
  });
}

const resourceClass = "CUSTOM_FPGA_INTEL_VF";

/** Waits until all cards are offered and makes the profile; answers where requests can be bound. */
export async function prepareArqs(caller: Caller, hosts: number): Promise<readonly Provider[]> {
  await until("all cards to be offered", async () => {
    const found = await caller.list<DeployableView>("/v1/deployables");
    return found.length >= 3 * hosts && found.every(({ offered }) => offered) ? true : undefined;
  });
  const made = await caller.once({
    method: "POST",
    path: "/v2/device_profiles",
    project: "ops",
    roles: "admin",
    body: [{ name: arqProfile, groups: [{ [`resources:${resourceClass}`]: "1" }] }],
  });
  if (!isDone(made)) throw new Error("the profile was not made");
  const names = new Map(
    (await caller.list<DeployableView>("/v1/deployables"))
      .filter((one) => one.resourceClass === resourceClass)
      .map(({ id, hostName }) => [id, hostName]),
  );
  const { deployables } = await caller.admin<{
    deployables: { uuid: string; rp_uuid: string }[];
  }>("/v2/deployables");
  return deployables.flatMap(({ uuid, rp_uuid }) => {
    const hostName = names.get(uuid);
    return hostName === undefined ? [] : [{ hostName, uuid: rp_uuid }];
  });
}
