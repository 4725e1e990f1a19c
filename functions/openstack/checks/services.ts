import type { OpenStack, Service } from "#openstack/cloud";
import { mayTell } from "#openstack/nova";
import { PlacementClient } from "#openstack/placement/client";
import { serviceHeader } from "../../accelerator/router.ts";
import { type Check, type Finding, failed, ok, skipped, warning } from "./check.ts";

/** Which services are there, and whether they take our account. */
export interface Services {
  readonly openstack: OpenStack;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly glance: "off" | "read" | "write";
}

/** More clock skew than this is worth a word; with more than the second tokens stop working. */
const skewMs = { some: 30_000, much: 300_000 };

export function serviceChecks(services: Services): readonly Check[] {
  return [
    { name: "keystone", look: async () => await keystone(services) },
    { name: "catalog", look: async () => await catalog(services) },
    { name: "accelerator endpoint", look: async () => await ownEndpoint(services) },
    { name: "placement", look: async () => await placement(services) },
    { name: "nova events", look: async () => await events(services) },
  ];
}

async function keystone({ openstack, now }: Services): Promise<readonly Finding[]> {
  const url = await openstack.endpoint("identity");
  if (url === undefined) return [skipped("OS_AUTH_URL is not set: services are called without it")];
  const reply = await openstack.send({ service: "identity", method: "GET", path: "" });
  const date = Date.parse(reply.headers.get("date") ?? "");
  const taken = ok(`${url} takes our account`);
  if (Number.isNaN(date)) return [taken];
  const skew = Math.abs(now() - date);
  const text = `our clock and Keystone's are ${Math.round(skew / 1000)} s apart`;
  const todo = "synchronize the clocks (chrony)";
  if (skew > skewMs.much) return [taken, failed(text, todo)];
  return skew > skewMs.some ? [taken, warning(text, todo)] : [taken];
}

const needed: readonly Service[] = ["placement", "compute", "image", "accelerator"];

async function catalog(services: Services): Promise<readonly Finding[]> {
  return await Promise.all(needed.map(async (service) => await inCatalog(services, service)));
}

async function inCatalog({ openstack, glance }: Services, service: Service): Promise<Finding> {
  const url = await openstack.endpoint(service);
  if (url !== undefined) return ok(`${service} is at ${url}`);
  if (service === "image" && glance === "off") return skipped("no image service; Glance is off");
  const todo = `openstack endpoint create --region REGION ${service} public URL, or look at OS_REGION_NAME and OS_INTERFACE`;
  return failed(`there is no endpoint of ${service} in our region and interface`, todo);
}

async function ownEndpoint({ openstack }: Services): Promise<readonly Finding[]> {
  const url = await openstack.endpoint("accelerator");
  if (url === undefined) return [skipped("there is none in the catalog")];
  const reply = await openstack.send({ service: "accelerator", method: "GET", path: "" });
  if (reply.headers.get(serviceHeader) !== null) return [ok(`${url} is this service`)];
  const todo = "openstack endpoint set --url https://GATEHOUSE/accelerator/v2 ENDPOINT";
  return [failed(`${url} answers ${reply.status} and is not this service`, todo)];
}

async function placement({ openstack }: Services): Promise<readonly Finding[]> {
  const { wire } = new PlacementClient(openstack);
  if (!(await wire.isThere())) return [skipped("there is none")];
  const minor = await wire.minor();
  const reply = await wire.ask({ method: "GET", path: "/resource_classes" });
  if (reply.status < 400) return [ok(`takes our account at microversion 1.${minor}`)];
  const todo = "give the account the role admin (or service) on its project";
  return [failed(`refuses our account: ${reply.status}`, todo)];
}

async function events({ openstack }: Services): Promise<readonly Finding[]> {
  if ((await openstack.endpoint("compute")) === undefined) return [skipped("there is no Nova")];
  const answer = await mayTell(openstack);
  if (answer === "yes") return [ok("Nova takes events from our account")];
  const todo =
    "allow it in Nova's policy: os_compute_api:os-server-external-events:create needs admin, or service";
  return [failed(`Nova refuses events from our account: ${answer}`, todo)];
}
