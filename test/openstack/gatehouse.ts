import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { S3Client } from "@aws-sdk/client-s3";
import type { DeployableView } from "#protocol/http/deployables";
import type { ImageView } from "#protocol/http/images";
import type { CardCounts } from "../../agent/host/memory-kernel/cards.ts";
import type { Environment } from "../../functions/entry.ts";
import { type Cloud, startCloud } from "../../localstack/cloud.ts";
import { type Api, apiOf } from "../../localstack/hosts/api.ts";
import { type SimulatedHost, startSimulatedHost } from "../../localstack/hosts/simulated-host.ts";
import type { TourBitstream } from "../../localstack/tour/bitstreams.ts";
import { until, upload } from "../../localstack/tour/steps.ts";
import { forgetAccelerators, freeInPlacement } from "./placement-view.ts";
import { flavorWith } from "./servers.ts";
import { osSettings, serviceAccount } from "./services/keystone.ts";
import { type Answer, rest } from "./services/rest.ts";
import type { SharedStack } from "./shared.ts";

/** An offline cloud that belongs to the stack: Keystone says who calls, Placement and Nova hear of it. */
export interface Gatehouse {
  readonly cloud: Pick<Cloud, "url" | "bucketUrl" | "bucket" | "region">;
  /** What the functions see. */
  readonly environment: Environment;
  /** The native API as Keystone's admin. */
  readonly api: Api;
  /** A token of Keystone's admin. */
  readonly token: string;
  /** Functions that threw, with their reason. */
  readonly failures: readonly string[];
  /** Cyborg's API below `/accelerator/v2`, as admin or with another token. */
  readonly accelerator: <Body>(
    method: string,
    path: string,
    more?: { readonly json?: unknown; readonly token?: string; readonly serviceToken?: string },
  ) => Promise<Answer<Body>>;
  /** A host with these cards; bitstreams go in at once unless `speed` says otherwise (1: a second). */
  readonly addHost: (name: string, cards: CardCounts, speed?: number) => Promise<SimulatedHost>;
  /** Uploads a bitstream that every project may use; the image once it is active. */
  readonly upload: (bitstream: TourBitstream) => Promise<ImageView>;
  /** Makes a device profile of these groups; its name. */
  readonly profile: (groups: readonly Readonly<Record<string, string>>[]) => Promise<string>;
  /** Makes a flavor whose servers get what these groups of a new device profile ask for; its id. */
  readonly flavor: (...groups: readonly Readonly<Record<string, string>>[]) => Promise<string>;
  /** Binds a request of one accelerator as Nova would, with a service token; its uuid. */
  readonly bind: (profile: string, place: Readonly<Record<string, string>>) => Promise<string>;
  readonly deployables: () => Promise<readonly DeployableView[]>;
  /** Accelerator requests of all projects, or of one instance, as Cyborg shows them. */
  readonly arqs: (instance?: string) => Promise<readonly Arq[]>;
  /**
   * Waits until Placement has so many free of a class on this host, and no card is being cleaned: a
   * card counts as free while it is, and what wants it waits.
   */
  readonly placed: (resourceClass: string, free: number) => Promise<void>;
  readonly close: () => Promise<void>;
}

/** An accelerator request as Cyborg shows it. */
export interface Arq {
  readonly uuid: string;
  readonly state: string;
  readonly device_profile_group_id: number;
  readonly hostname: string;
  readonly device_rp_uuid: string;
  readonly instance_uuid: string;
  readonly attach_handle_type: string;
  readonly attach_handle_info: Readonly<Record<string, string>>;
}

const credentials = { accessKeyId: "TESTKEY", secretAccessKey: "test-secret" };

/** Where a cloud is that somebody else started. */
type Place = Pick<Cloud, "url" | "bucketUrl" | "bucket" | "region">;

/** Settings of a cloud in this stack; `more` come on top. */
export function gatehouseSettings(
  { where }: SharedStack,
  more: Readonly<Record<string, string>> = {},
): Readonly<Record<string, string>> {
  return {
    GATEHOUSE_AUTH: "keystone",
    ...osSettings(where.authUrl, serviceAccount("gatehouse")),
    ...more,
  };
}

/** Starts a cloud in this process and makes it the accelerator service of the stack. */
export async function startGatehouse(
  stack: SharedStack,
  more: Readonly<Record<string, string>> = {},
): Promise<Gatehouse> {
  const dataDir = await mkdtemp(join(tmpdir(), "gatehouse-test-"));
  const failures: string[] = [];
  const cloud = await startCloud({
    port: 0,
    bucketPort: 0,
    dataDir,
    credentials,
    functions: gatehouseSettings(stack, more),
    onFailure: (name, error) => failures.push(`${name}: ${String(error)}`),
  });
  const gatehouse = await joinStack(stack, cloud, { dataDir, credentials });
  return {
    ...gatehouse,
    environment: cloud.environment,
    failures,
    close: async () => {
      await gatehouse.close();
      await cloud.close();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

/** Enters a running cloud in the catalog; what is done with it lies below `dataDir`. */
export async function joinStack(
  stack: SharedStack,
  cloud: Place,
  {
    dataDir,
    credentials,
  }: { dataDir: string; credentials: { accessKeyId: string; secretAccessKey: string } },
): Promise<Gatehouse> {
  await stack.catalog.endpoint("accelerator", `${cloud.url}/accelerator/v2`);
  const [token, project] = await Promise.all([
    stack.catalog.token(),
    stack.catalog.project("admin"),
  ]);
  const api = apiOf(cloud.url, { "x-auth-token": token });
  const s3 = new S3Client({ endpoint: cloud.bucketUrl, region: cloud.region, credentials });
  const hosts: SimulatedHost[] = [];
  const accelerator: Gatehouse["accelerator"] = async (method, path, more = {}) =>
    await rest({
      method,
      url: `${cloud.url}/accelerator/v2${path}`,
      token: more.token ?? token,
      json: more.json,
      headers: {
        "openstack-api-version": "accelerator 2.3",
        ...(more.serviceToken === undefined ? {} : { "x-service-token": more.serviceToken }),
      },
    });
  const profile: Gatehouse["profile"] = async (groups) => {
    const name = `profile-${crypto.randomUUID()}`;
    const json = [{ name, groups }];
    const { status, body } = await accelerator("POST", "/device_profiles", { json });
    if (status !== 201) throw new Error(`no profile: ${status} ${JSON.stringify(body)}`);
    return name;
  };
  const cards = async () =>
    (await api<{ items: DeployableView[] }>("GET", "/v1/deployables?limit=200")).items;
  const tour = { api, s3, bucket: cloud.bucket, project, say: () => undefined };
  return {
    cloud,
    environment: {},
    api,
    token,
    failures: [],
    accelerator,
    upload: async (bitstream) => await upload(tour, bitstream),
    async addHost(name, cards, speed = Number.POSITIVE_INFINITY) {
      const host = await startSimulatedHost({
        name,
        url: cloud.url,
        dir: join(dataDir, "hosts", name),
        speed,
        cards,
        newToken: async () =>
          (await api<{ joinToken: string }>("POST", "/v1/hosts", { name })).joinToken,
      });
      hosts.push(host);
      return host;
    },
    profile,
    flavor: async (...groups) =>
      await flavorWith(stack, token, { "accel:device_profile": await profile(groups) }),
    async bind(name, place) {
      const json = { device_profile_name: name };
      const made = await accelerator<{ arqs: Arq[] }>("POST", "/accelerator_requests", { json });
      const { uuid = "" } = made.body.arqs[0] ?? {};
      const patch = Object.entries(place).map(([key, value]) => {
        return { op: "add", path: `/${key}`, value };
      });
      const serviceToken = await stack.catalog.token(serviceAccount("nova"));
      const more = { json: { [uuid]: patch }, serviceToken };
      const { status, body } = await accelerator("PATCH", "/accelerator_requests", more);
      if (status !== 202) throw new Error(`no bind: ${status} ${JSON.stringify(body)}`);
      return uuid;
    },
    deployables: cards,
    async arqs(instance) {
      const query = instance === undefined ? "" : `?instance=${instance}`;
      return (await accelerator<{ arqs: Arq[] }>("GET", `/accelerator_requests${query}`)).body.arqs;
    },
    placed: async (resourceClass, free) =>
      await until(`${free} of ${resourceClass} in Placement`, async () => {
        const found = await freeInPlacement(stack, token, resourceClass);
        return found === free && (await cards()).every(isAtRest) ? true : undefined;
      }).then(() => undefined),
    close: async () => {
      await Promise.allSettled(hosts.map(async (host) => await host.stop()));
      s3.destroy();
      await forgetAccelerators(stack, token);
    },
  };
}

/** Neither being cleaned nor prepared: on offer, or somebody's. */
function isAtRest({ offered, handles }: DeployableView): boolean {
  return offered || handles.some(({ claim }) => claim !== undefined);
}
