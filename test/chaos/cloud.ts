import type { Handler } from "../../functions/entry.ts";
import { type Cloud, startCloud } from "../../localstack/cloud.ts";
import { openFailpoints } from "./failpoints.ts";
import { holdLifeline, settingsOf } from "./lifeline.ts";
import { startTableProxy } from "./table-proxy.ts";

/** What the cloud's process is told. */
export interface CloudSettings {
  readonly port: number;
  readonly bucketPort: number;
  readonly dataDir: string;
  readonly functions: Readonly<Record<string, string>>;
  /** Ms between two sweeps; the service itself sweeps once a minute. */
  readonly sweepMs: number;
}

/** Keys of the bucket, the same in every life of the cloud. */
export const credentials = { accessKeyId: "CHAOSKEY", secretAccessKey: "chaos-secret" };

async function main(): Promise<void> {
  holdLifeline();
  const settings = settingsOf<CloudSettings>();
  const failpoints = openFailpoints(process.env["GATEHOUSE_FAILPOINTS"] ?? "", Math.random);
  const cloud = await startCloud({
    ...settings,
    credentials,
    onFailure: (name, error) => process.stderr.write(`function ${name} failed: ${String(error)}\n`),
    around: async (name, run) => {
      await failpoints.pass(`cloud.${name}:before`);
      const answer = await run();
      await failpoints.pass(`cloud.${name}:after`);
      return answer;
    },
    tableThrough: async (endpoint) => (await startTableProxy(endpoint, failpoints)).url,
  });
  const sweeping = sweepOften(cloud, settings.sweepMs);
  process.once("SIGTERM", () => {
    clearInterval(sweeping);
    void cloud.close().then(() => process.exit(0));
  });
  process.stdout.write(`ready ${cloud.url}\n`);
}

/** Deadlines and silence are kept by the table's clock; looking more often only shortens the wait. */
function sweepOften(cloud: Cloud, every: number): NodeJS.Timeout {
  const sweep = cloud.service.functions.find(({ name }) => name === "sweep");
  if (sweep === undefined) throw new Error("no function sweep");
  return setInterval(() => {
    cloud
      .load(sweep.handler)
      .then(async (run) => await (run as Handler<object>)({}, {} as never))
      .catch((error: unknown) => process.stderr.write(`sweep failed: ${String(error)}\n`));
  }, every);
}

if (import.meta.main) await main();
