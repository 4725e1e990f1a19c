import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { S3Client } from "@aws-sdk/client-s3";
import type { DeployableView } from "#protocol/http/deployables";
import type { CardCounts } from "../../agent/host/memory-kernel/cards.ts";
import { type Cloud, type CloudOptions, startCloud } from "../../localstack/cloud.ts";
import { type Api, apiOf } from "../../localstack/hosts/api.ts";
import { type SimulatedHost, startSimulatedHost } from "../../localstack/hosts/simulated-host.ts";
import { until } from "../../localstack/tour/steps.ts";

/** An offline cloud of one test, on free ports and with a folder of its own. */
export interface Offline {
  readonly cloud: Cloud;
  readonly dataDir: string;
  readonly s3: S3Client;
  /** The API as a project; roles default to admin. */
  readonly as: (project: string, roles?: string) => Api;
  readonly addHost: (name: string, cards?: CardCounts) => Promise<SimulatedHost>;
  readonly close: () => Promise<void>;
}

export const credentials = { accessKeyId: "TESTKEY", secretAccessKey: "test-secret" };

/** Starts a cloud; `functions` are settings such as GATEHOUSE_SIGNATURE_POLICY. */
export async function startOffline(
  functions: Readonly<Record<string, string>> = {},
  around?: CloudOptions["around"],
): Promise<Offline> {
  const dataDir = await mkdtemp(join(tmpdir(), "gatehouse-test-"));
  const failures: string[] = [];
  const cloud = await startCloud({
    port: 0,
    bucketPort: 0,
    dataDir,
    credentials,
    functions,
    onFailure: (name, error) => failures.push(`${name}: ${String(error)}`),
    ...(around === undefined ? {} : { around }),
  });
  const hosts: SimulatedHost[] = [];
  const s3 = new S3Client({ endpoint: cloud.bucketUrl, region: cloud.region, credentials });
  const as = (project: string, roles = "admin") =>
    apiOf(cloud.url, { "x-project-id": project, "x-roles": roles, "x-user-id": "test" });
  return {
    cloud,
    dataDir,
    s3,
    as,
    addHost: async (name, cards) => {
      const host = await startSimulatedHost({
        name,
        url: cloud.url,
        dir: join(dataDir, "hosts", name),
        speed: Number.POSITIVE_INFINITY,
        newToken: async () =>
          (await as("ops")<{ joinToken: string }>("POST", "/v1/hosts", { name })).joinToken,
        ...(cards === undefined ? {} : { cards }),
      });
      hosts.push(host);
      return host;
    },
    close: async () => {
      await Promise.allSettled(hosts.map(async (host) => await host.stop()));
      s3.destroy();
      await cloud.close();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

/** Waits until so many deployables are on offer and returns them. */
export async function offered(api: Api, count: number): Promise<readonly DeployableView[]> {
  return await until(`${count} deployables on offer`, async () => {
    const { items } = await api<{ items: DeployableView[] }>("GET", "/v1/deployables?limit=200");
    const free = items.filter((one) => one.offered);
    return free.length >= count ? free : undefined;
  });
}
