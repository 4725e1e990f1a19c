import { until } from "../../localstack/tour/steps.ts";
import { type Answer, rest, restOk } from "./services/rest.ts";
import type { SharedStack } from "./shared.ts";

/** A server as Nova shows it. */
export interface Server {
  readonly id: string;
  readonly status: string;
  readonly fault?: { readonly message: string };
  readonly "OS-EXT-STS:task_state": string | null;
  readonly "OS-EXT-STS:vm_state": string;
}

/** Nova's HTTP API as one account. */
export interface Servers {
  /** Asks for a server without ports; the id of a server on its way. */
  readonly boot: (flavor: string) => Promise<string>;
  /** Asks for so many servers at once; their ids. */
  readonly bootMany: (flavor: string, count: number) => Promise<readonly string[]>;
  readonly show: (id: string) => Promise<Server | undefined>;
  /** Sends an action such as `{ reboot: { type: "HARD" } }`; whatever Nova answers. */
  readonly act: (id: string, action: Readonly<Record<string, unknown>>) => Promise<Answer>;
  /** Waits until the server has this status and no task is left. Fails at once on another end. */
  readonly settled: (id: string, status: string) => Promise<Server>;
  /** Waits until the server is ACTIVE or in ERROR with no task left. */
  readonly ended: (id: string) => Promise<Server>;
  /** Deletes the server and waits until Nova no longer knows it. */
  readonly remove: (id: string) => Promise<void>;
  /** Removes every server of the account: what a failed test left must not fail the next. */
  readonly removeAll: () => Promise<void>;
}

/** 2.90 is the newest of Nova 26. */
const headers = { "openstack-api-version": "compute 2.90" };

type Send = <Body>(method: string, path: string, json?: unknown) => Promise<Answer<Body>>;

function novaOf({ where }: SharedStack, token: string): Send {
  return async <Body>(method: string, path: string, json?: unknown) =>
    await rest<Body>({ method, url: `${where.novaUrl}${path}`, token, headers, json });
}

/** Makes a flavor for everybody with these extra specs, as admin; its id. */
export async function flavorWith(
  stack: SharedStack,
  adminToken: string,
  specs: Readonly<Record<string, string>>,
): Promise<string> {
  const send = novaOf(stack, adminToken);
  const flavor = { name: `flavor-${crypto.randomUUID()}`, ram: 64, vcpus: 1, disk: 1 };
  const { body } = await send<{ flavor: { id: string } }>("POST", "/flavors", { flavor });
  const { id } = body.flavor;
  await send("POST", `/flavors/${id}/os-extra_specs`, { extra_specs: specs });
  return id;
}

/** Nova's API with this token; servers boot from `image`. */
export function serversOf(stack: SharedStack, token: string, image: string): Servers {
  const send = novaOf(stack, token);
  const show = async (id: string) => {
    const { status, body } = await send<{ server: Server }>("GET", `/servers/${id}`);
    return status === 404 ? undefined : body.server;
  };
  const remove = async (id: string) => {
    await send("DELETE", `/servers/${id}`);
    await until(`server ${id} to be gone`, async () => (await show(id)) === undefined || undefined);
  };
  const create = async (flavorRef: string, more: object) => {
    const name = `server-${crypto.randomUUID()}`;
    const server = { name, imageRef: image, flavorRef, networks: "none", ...more };
    const asked = await send<{ server: Server }>("POST", "/servers", { server });
    if (asked.status !== 202) {
      throw new Error(`no server: ${asked.status} ${JSON.stringify(asked.body)}`);
    }
    return { name, id: asked.body.server.id };
  };
  return {
    show,
    boot: async (flavorRef) => (await create(flavorRef, {})).id,
    async bootMany(flavorRef, count) {
      const { name } = await create(flavorRef, { min_count: count, max_count: count });
      const { body } = await send<{ servers: Server[] }>("GET", `/servers?name=${name}`);
      return body.servers.map(({ id }) => id);
    },
    act: async (id, action) => await send("POST", `/servers/${id}/action`, action),
    async settled(id, status) {
      return await until(`server ${id} to be ${status}`, async () => {
        const server = await show(id);
        if (server === undefined) throw new Error(`server ${id} is gone`);
        if (server["OS-EXT-STS:task_state"] !== null) return undefined;
        if (server.status === "ERROR" && status !== "ERROR") {
          throw new Error(`server ${id} is in ERROR: ${server.fault?.message}`);
        }
        return server.status === status ? server : undefined;
      });
    },
    ended: async (id) =>
      await until(`server ${id} to be ACTIVE or in ERROR`, async () => {
        const server = await show(id);
        const isOver = server?.status === "ACTIVE" || server?.status === "ERROR";
        return isOver && server["OS-EXT-STS:task_state"] === null ? server : undefined;
      }),
    remove,
    async removeAll() {
      const { body } = await send<{ servers: Server[] }>("GET", "/servers");
      await Promise.all(body.servers.map(async ({ id }) => await remove(id)));
    },
  };
}

/** A public image to boot from: nothing runs it. Its id. */
export async function bootImage({ where }: SharedStack, token: string): Promise<string> {
  const images = `${where.glanceUrl}/v2/images`;
  const json = {
    name: "disk",
    disk_format: "raw",
    container_format: "bare",
    visibility: "public",
  };
  const { id } = await restOk<{ id: string }>({ method: "POST", url: images, token, json });
  const sent = await fetch(`${images}/${id}/file`, {
    method: "PUT",
    headers: { "x-auth-token": token, "content-type": "application/octet-stream" },
    body: Buffer.alloc(64 << 10),
  });
  if (!sent.ok) throw new Error(`Glance took no file: ${sent.status} ${await sent.text()}`);
  return id;
}
