import { join } from "node:path";
import { S3Client } from "@aws-sdk/client-s3";
import type { ClaimView } from "#protocol/http/claims";
import type { DeployableView } from "#protocol/http/deployables";
import { type Api, apiOf } from "../../localstack/hosts/api.ts";
import { type SimulatedHost, startSimulatedHost } from "../../localstack/hosts/simulated-host.ts";
import { cryptoGbs } from "../../localstack/tour/bitstreams.ts";
import { until, upload } from "../../localstack/tour/steps.ts";
import { type Benchmark, type Figure, percentiles } from "./figure.ts";
import { onStage, type Stage } from "./load.ts";

/** Starts a host whose cards take bitstreams without waiting, so that only our own time is left. */
async function hostOf({ cloud, dataDir }: Stage, api: Api): Promise<SimulatedHost> {
  const name = "bench-host";
  return await startSimulatedHost({
    name,
    url: cloud.url,
    dir: join(dataDir, name),
    cards: { dfl: 4 },
    speed: Number.POSITIVE_INFINITY,
    newToken: async () =>
      (await api<{ joinToken: string }>("POST", "/v1/hosts", { name })).joinToken,
  });
}

async function settled(api: Api, id: string, state: ClaimView["state"]): Promise<void> {
  for (;;) {
    const claim = await api<ClaimView>("GET", `/v1/claims/${id}`);
    if (claim.state === state) return;
    if (claim.state === "BindFailed") throw new Error(claim.reason?.message);
    await new Promise((resolve) => {
      setTimeout(resolve, 1);
    });
  }
}

async function offered(api: Api): Promise<DeployableView> {
  return await until("a free deployable", async () => {
    const { items } = await api<{ items: DeployableView[] }>("GET", "/v1/deployables?limit=200");
    return items.find((one) => one.offered);
  });
}

/** Claims one after the other: from the answer of the claim to Bound, and to clean again. */
async function cycles(
  api: Api,
  count: number,
  image: string | undefined,
): Promise<readonly number[]> {
  const times: number[] = [];
  for (let index = 0; index < count; index += 1) {
    const { resourceClass } = await offered(api);
    const request = image === undefined ? { resourceClass } : { image };
    const begun = performance.now();
    const { claims } = await api<{ claims: ClaimView[] }>("POST", "/v1/claims", request);
    const id = claims[0]?.id ?? "";
    const granted = performance.now();
    await settled(api, id, "Bound");
    times.push(performance.now() - (image === undefined ? granted : begun));
    await api("DELETE", `/v1/claims/${id}`);
  }
  return times;
}

/**
 * Push to ack: a claim that programs nothing is Bound when its wish was pushed, worked and reported,
 * and the report is in the table. The programming cycle adds fetch, verify, program and read back.
 */
export const dispatch: Benchmark = {
  name: "dispatch",
  run: async (short) =>
    await onStage(async (stage) => {
      const { cloud, credentials } = stage;
      const api = apiOf(cloud.url, { "x-project-id": "bench", "x-roles": "admin" });
      const host = await hostOf(stage, api);
      try {
        const { interfaceId = "" } = await offered(api);
        const s3 = new S3Client({ endpoint: cloud.bucketUrl, region: cloud.region, credentials });
        const tour = { api, s3, bucket: cloud.bucket, project: "bench", say: () => undefined };
        const image = await upload(tour, cryptoGbs(interfaceId));
        s3.destroy();
        await cycles(api, 3, image.id);
        const plain = percentiles(await cycles(api, short ? 40 : 100, undefined));
        const programmed = percentiles(await cycles(api, short ? 20 : 50, image.id));
        return [...pushFigures(plain), ...programFigures(plain, programmed)];
      } finally {
        await host.stop();
      }
    }),
};

type Times = ReturnType<typeof percentiles>;

function pushFigures({ p50, p99 }: Times): readonly Figure[] {
  const note = "grant answered → pushed → agent's report in the table";
  return [
    { name: "push to ack, p50", value: p50, unit: "ms", note },
    { name: "push to ack, p99", value: p99, unit: "ms", budget: { atMost: 50 }, note },
  ];
}

function programFigures(plain: Times, programmed: Times): readonly Figure[] {
  const note = "claim + verify 1.5 MB + program + read back + receipt, card takes no time";
  return [
    { name: "claim to programmed, p50", value: programmed.p50, unit: "ms", note },
    {
      name: "agent overhead round a program, p50",
      value: programmed.p50 - plain.p50,
      unit: "ms",
      budget: { atMost: 50 },
      note: "programmed − not programmed",
    },
  ];
}
