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

/** Starts a host whose cards take bitstreams plainMs waiting, so that only our own time is left. */
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

/** Milliseconds after the claim's answer. */
interface Cycle {
  /** The agent's first report on it arrives: an upper bound of "the wish reached the agent". */
  readonly heard: number;
  /** That report is in the table. */
  readonly acked: number;
  /** The claim is Bound. */
  readonly bound: number;
}

/** Claims one after the other, each released and cleaned before the next. */
async function cycles(
  { next }: Stage,
  api: Api,
  count: number,
  image: string | undefined,
): Promise<readonly Cycle[]> {
  const found: Cycle[] = [];
  for (let index = 0; index < count; index += 1) {
    const { resourceClass } = await offered(api);
    const request = image === undefined ? { resourceClass } : { image };
    const { claims } = await api<{ claims: ClaimView[] }>("POST", "/v1/claims", request);
    const begun = performance.now();
    const [heard, acked] = await Promise.all([next("message", "begins"), next("message", "ends")]);
    const id = claims[0]?.id ?? "";
    await settled(api, id, "Bound");
    const bound = performance.now();
    found.push({ heard: heard - begun, acked: acked - begun, bound: bound - begun });
    await api("DELETE", `/v1/claims/${id}`);
  }
  return found;
}

/**
 * Push to ack: a claim that programs nothing is Bound when its wish was pushed, worked and reported,
 * and the report is in the table. The programming cycle adds fetch, verify, program and read back.
 */
export const dispatch: Benchmark = {
  name: "dispatch",
  about: "From a changed row to the agent's socket on the offline cloud.",
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
        await cycles(stage, api, 3, image.id);
        const plain = await cycles(stage, api, short ? 40 : 100, undefined);
        const programmed = await cycles(stage, api, short ? 20 : 50, image.id);
        return [...pushFigures(plain), ...programFigures(plain, programmed)];
      } finally {
        await host.stop();
      }
    }),
};

function pushFigures(found: readonly Cycle[]): readonly Figure[] {
  const heard = percentiles(found.map((cycle) => cycle.heard));
  const acked = percentiles(found.map((cycle) => cycle.acked));
  const note = "claim answered → pushed → marks on disk → the agent's report arrives";
  return [
    { name: "wish to agent and back, p50", value: heard.p50, unit: "ms", note },
    {
      name: "wish to agent and back, p99",
      value: heard.p99,
      unit: "ms",
      budget: { atMost: 50 },
      note,
    },
    { name: "push to ack, p50", value: acked.p50, unit: "ms", note: "… and is in the table" },
    { name: "push to ack, p99", value: acked.p99, unit: "ms" },
  ];
}

function programFigures(plain: readonly Cycle[], programmed: readonly Cycle[]): readonly Figure[] {
  const [plainMs, programmedMs] = [plain, programmed].map(
    (found) => percentiles(found.map((cycle) => cycle.bound)).p50,
  );
  const value = (programmedMs ?? 0) - (plainMs ?? 0);
  const note = "fetch and verify 1.5 MB, program, read back, receipt; the card takes no time";
  return [
    { name: "claim to Bound, nothing programmed, p50", value: plainMs ?? 0, unit: "ms" },
    { name: "claim to Bound, programmed, p50", value: programmedMs ?? 0, unit: "ms" },
    {
      name: "agent overhead round a program, p50",
      value,
      unit: "ms",
      budget: { atMost: 50 },
      note,
    },
  ];
}
