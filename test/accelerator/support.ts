import { randomUUID } from "node:crypto";
import type { Deployable } from "#domain/deployable";
import type { Device, Host } from "#domain/host";
import { providersOf } from "#domain/providers/providers";
import type { Report } from "#domain/report";
import { providerId } from "#protocol/uuid";
import { deployablesOf, readDeployable } from "#store/deployables";
import { deviceKey, listShards, shardOf } from "#store/keys";
import { recordReport } from "#store/reports";
import { rowOf } from "#store/rows";
import type { Store } from "#store/store";
import { acceleratorFunction } from "../../functions/accelerator/api.ts";
import type { Accelerator } from "../../functions/accelerator/parts.ts";
import { Catalogue } from "../../functions/parts/catalogue.ts";
import { identifierFor } from "../../functions/parts/identity.ts";
import { report } from "../domain/builders.ts";
import { idOf, type TestStore, testStore } from "../http/rows.ts";

/** Who asks and what. */
export interface Asking {
  readonly roles?: string;
  readonly project?: string;
  /** Microversion header. */
  readonly version?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  /** Sent as it is. */
  readonly text?: string;
}

export const admin: Asking = { roles: "admin,manager,member,reader" };
export const member: Asking = { roles: "member,reader" };
export const reader: Asking = { roles: "reader" };
/** Nova acting for a member. */
export const nova: Asking = { roles: "member,reader,service" };

/** An answer; `body` is parsed, `fault` is the sentence of an error. */
export interface Answered<Body> {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
  readonly body: Body;
  readonly fault: string;
}

/** Cyborg's API over a table in memory. */
export interface Door {
  readonly store: TestStore;
  readonly parts: Accelerator;
  /** What went into the log. */
  readonly logged: readonly unknown[];
  readonly ask: <Body = Readonly<Record<string, unknown>>>(
    method: string,
    path: string,
    asking?: Asking,
  ) => Promise<Answered<Body>>;
}

export const root = "http://127.0.0.1:16666";

/** Opens the door; `settings` and `changes` replace what it works with. */
export function openDoor(
  settings: Partial<Accelerator["settings"]> = {},
  changes: Partial<Accelerator> = {},
): Door {
  const store = testStore();
  const logged: unknown[] = [];
  const log = (error: unknown) => logged.push(error);
  const shape = settings.shape ?? "pool";
  const parts: Accelerator = {
    binding: {
      store,
      catalogue: new Catalogue(store),
      provider: (hostName, provider, deployables) =>
        providersOf(shape, hostName, deployables, []).find(
          ({ name }) => providerId(name) === provider,
        ),
      traits: (hostName, deployable) =>
        providersOf(shape, hostName, [deployable], []).flatMap(({ traits }) => traits),
    },
    identify: identifierFor({
      settings: { auth: "none", oidc: { issuer: "", audience: "" } },
      openstackSettings: { serviceRoles: ["service"], tokenCacheMs: 0 },
      fetch: async () => await Promise.reject(new Error("no network here")),
      now: store.now,
      cooldownMs: 0,
      log,
    }),
    settings: {
      defaultQuota: 64,
      bindDeadlineMs: 180_000,
      shape,
      serviceTokens: "required",
      policy: "legacy",
      challenge: "Bearer",
      ...settings,
    },
    newId: randomUUID,
    waiting: new Set(),
    log,
    ...changes,
  };
  const served = acceleratorFunction(parts);
  const ask: Door["ask"] = async (method, path, asking = {}) => {
    const result = await served(eventOf(method, path, asking), {} as never);
    return { status: result.statusCode, headers: result.headers, ...contentOf(result.body) };
  };
  return { store, parts, logged, ask };
}

/** The event API Gateway makes: the path is decoded, a body without a JSON type is base64. */
function eventOf(method: string, target: string, asking: Asking): object {
  const { body, text } = asking;
  const [path = "", query = ""] = target.split("?");
  const content = text ?? (body === undefined ? undefined : JSON.stringify(body));
  const headers = headersOf(asking, content !== undefined);
  const isText = headers["content-type"]?.includes("json") ?? true;
  return {
    version: "2.0",
    rawPath: decodeURIComponent(path),
    rawQueryString: query,
    headers,
    ...(content === undefined
      ? {}
      : { body: isText ? content : Buffer.from(content).toString("base64") }),
    isBase64Encoded: !isText,
    requestContext: { http: { method, path }, requestId: randomUUID(), domainName: "gateway" },
  };
}

function headersOf(asking: Asking, hasBody: boolean): Readonly<Record<string, string>> {
  const { roles = "member,reader", project = "p1", version, headers } = asking;
  return {
    host: root.slice("http://".length),
    "x-forwarded-proto": "http",
    "x-roles": roles,
    "x-project-id": project,
    ...(hasBody ? { "content-type": "application/json" } : {}),
    ...(version === undefined ? {} : { "openstack-api-version": version }),
    ...headers,
  };
}

function contentOf<Body>(text: string): Pick<Answered<Body>, "text" | "body" | "fault"> {
  const body: unknown = text === "" ? undefined : JSON.parse(text);
  return { text, body: body as Body, fault: faultOf(body) };
}

function faultOf(body: unknown): string {
  if (typeof body !== "object" || body === null || !("error_message" in body)) return "";
  const message = String(body.error_message);
  if (!message.startsWith("{")) return message;
  const { faultstring } = JSON.parse(message) as { readonly faultstring?: string };
  return faultstring ?? "";
}

/** A card in the table; FPGA of Intel unless said otherwise. */
export async function addDevice(
  store: Store,
  host: Pick<Host, "id" | "name">,
  deployables: readonly Deployable[],
  facts: Partial<Device> = {},
): Promise<Device> {
  const device: Device = {
    id: deployables[0]?.device ?? idOf(`${host.name}/card`),
    host: host.id,
    hostName: host.name,
    cardId: "serial-1",
    kind: "FPGA",
    vendor: "intel",
    product: "n3000",
    pciVendor: "8086",
    pciDevice: "0b30",
    address: "0000:3b:00.0",
    driver: "simulated",
    layout: "regions",
    present: true,
    deployables: deployables.map(({ id }) => id),
    createdAt: store.now(),
    updatedAt: store.now(),
    ...facts,
  };
  const item = rowOf(deviceKey(host.id, device.id), "device", device, {
    gsi2pk: `DEVICES#${shardOf(device.id, listShards)}`,
    gsi2sk: device.id,
  });
  await store.table.write([{ kind: "put", item }]);
  return device;
}

/** The uuid of the provider behind which a deployable stands. */
export async function providerOf(door: Door, host: Host, deployable: Deployable): Promise<string> {
  const all = await deployablesOf(door.store, host.id);
  const providers = providersOf(door.parts.settings.shape, host.name, all, []);
  const found = providers.find(({ members }) => members.includes(deployable.id));
  return providerId(found?.name ?? "none");
}

/** Its agent reports what it has done: everything that was wished, unless said otherwise. */
export async function agentReports(
  store: Store,
  { host, id }: Pick<Deployable, "host" | "id">,
  facts: Partial<Report> = {},
): Promise<Deployable> {
  const now = await readDeployable(store, host, id);
  if (now === undefined) throw new Error("no deployable");
  const { image } = now.wish;
  const loaded =
    image === undefined
      ? now.loaded
      : { functionId: image.functionId, imageId: image.id, sha256: image.sha256 };
  const told = report(now, { loaded, bootId: now.bootId ?? idOf("boot"), ...facts });
  return await recordReport(store, { host, deployable: id, report: told });
}

/** What a patch needs to bind one request. */
export function bindOperations(
  host: string,
  provider: string,
  instance: string,
): readonly object[] {
  return [
    { path: "/hostname", op: "add", value: host },
    { path: "/device_rp_uuid", op: "add", value: provider },
    { path: "/instance_uuid", op: "add", value: instance },
  ];
}

/** What a patch needs to unbind one request. */
export const unbindOperations: readonly object[] = [
  { path: "/hostname", op: "remove" },
  { path: "/device_rp_uuid", op: "remove" },
  { path: "/instance_uuid", op: "remove" },
];
