import { join } from "node:path";
import { parseArgs } from "node:util";
import { S3Client } from "@aws-sdk/client-s3";
import { isFault } from "#domain/faults";
import { type Cloud, startCloud } from "./cloud.ts";
import { apiOf } from "./hosts/api.ts";
import { type SimulatedHost, startSimulatedHost } from "./hosts/simulated-host.ts";
import { type Credentials, keptCredentials, offlineSettings } from "./settings.ts";
import { runTour } from "./tour/tour.ts";

const help = `Gatehouse on this machine: the whole cloud offline, with simulated hosts.

  npm start                  start, run the tour once, stay up
  npm start -- --no-tour     start and stay up
  npm start -- --tour-only   start, run the tour, end; the exit code tells

Settings: GATEHOUSE_PORT (4510; the bucket is on the next port), GATEHOUSE_DATA (.gatehouse),
GATEHOUSE_SIMULATED_HOSTS (2), GATEHOUSE_AUTH (none, oidc or keystone), GATEHOUSE_TABLE_ENDPOINT
(any DynamoDB). All of them: docs/configuration.md.
`;

const identity = { "x-project-id": "default", "x-roles": "admin", "x-user-id": "tour" };
const say = (line: string) => process.stdout.write(`${line}\n`);
const complain = (line: string) => process.stderr.write(`${line}\n`);

async function startHosts(cloud: Cloud, dataDir: string, count: number): Promise<SimulatedHost[]> {
  const api = apiOf(cloud.url, identity);
  const newToken = async (name: string): Promise<string> => {
    const { items } = await api<{ items: { id: string }[] }>("GET", `/v1/hosts?name=${name}`);
    const [known] = items;
    const path = known === undefined ? "/v1/hosts" : `/v1/hosts/${known.id}/join-token`;
    const body = known === undefined ? { name } : undefined;
    return (await api<{ joinToken: string }>("POST", path, body)).joinToken;
  };
  const names = Array.from({ length: count }, (_, index) => `host-${index + 1}`);
  return await Promise.all(
    names.map(
      async (name) =>
        await startSimulatedHost({
          name,
          url: cloud.url,
          dir: join(dataDir, "hosts", name),
          speed: 4,
          newToken,
        }),
    ),
  );
}

function introduce(cloud: Cloud, credentials: Credentials): void {
  say(`gatehouse ready ${cloud.url}`);
  say(`  bucket      ${cloud.bucket}`);
  say(`  endpoint    ${cloud.bucketUrl}`);
  say(`  region      ${cloud.region}`);
  say(`  access key  ${credentials.accessKeyId}`);
  say(`  secret key  ${credentials.secretAccessKey}`);
}

async function tour(cloud: Cloud, credentials: Credentials): Promise<void> {
  const s3 = new S3Client({ endpoint: cloud.bucketUrl, region: cloud.region, credentials });
  say("tour");
  await runTour({
    api: apiOf(cloud.url, identity),
    s3,
    bucket: cloud.bucket,
    project: "default",
    say: (line) => say(`  ${line}`),
  });
  s3.destroy();
  say("tour done");
}

function untilSignal(): Promise<void> {
  return new Promise((resolve) => {
    process.once("SIGTERM", () => resolve());
    process.once("SIGINT", () => resolve());
  });
}

async function run(options: { readonly tour: boolean; readonly stay: boolean }): Promise<number> {
  const settings = offlineSettings(process.env);
  const credentials = keptCredentials(settings.dataDir);
  const ended = untilSignal();
  const cloud = await startCloud({
    port: settings.port,
    bucketPort: settings.port === 0 ? 0 : settings.port + 1,
    dataDir: settings.dataDir,
    credentials,
    functions: { ...settings.functions, GATEHOUSE_AUTH: settings.auth },
    ...(settings.tableEndpoint === undefined ? {} : { tableEndpoint: settings.tableEndpoint }),
    onFailure: (name, error) => complain(`function ${name} failed: ${String(error)}`),
  });
  const hosts: SimulatedHost[] = [];
  try {
    hosts.push(...(await startHosts(cloud, settings.dataDir, settings.simulatedHosts)));
    introduce(cloud, credentials);
    if (options.tour && hosts.length > 0) {
      await Promise.race([tour(cloud, credentials), ended.then(() => Promise.reject(stopped))]);
    }
    if (options.stay) await ended;
    return 0;
  } catch (error) {
    if (error === stopped) return 0;
    complain(`tour failed: ${error instanceof Error ? error.message : String(error)}`);
    return 1;
  } finally {
    await Promise.allSettled(hosts.map(async (host) => await host.stop()));
    await cloud.close();
  }
}

/** Thrown into a tour that a signal ends. */
const stopped = new Error("stopped");

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      "no-tour": { type: "boolean", default: false },
      "tour-only": { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help) {
    process.stdout.write(help);
    return 0;
  }
  return await run({ tour: !values["no-tour"], stay: !values["tour-only"] });
}

try {
  process.exitCode = await main();
} catch (error) {
  const message = error instanceof Error ? error.message : String(error);
  complain(isFault(error) ? `${error.code}: ${message}` : message);
  process.exitCode = 1;
}
