/** A user of Glance over HTTP, for the real one and for the double. */
export interface GlanceUser {
  readonly url: string;
  /** Makes a tagged image with these bytes; its id. */
  readonly upload: (bytes: Buffer, more?: Readonly<Record<string, unknown>>) => Promise<string>;
  readonly patch: (id: string, changes: Readonly<Record<string, unknown>>) => Promise<void>;
  readonly tag: (id: string, name: string, isSet: boolean) => Promise<void>;
  readonly act: (id: string, action: "deactivate" | "reactivate") => Promise<void>;
  readonly remove: (id: string) => Promise<void>;
  readonly show: (id: string) => Promise<Readonly<Record<string, unknown>> | undefined>;
  readonly download: (id: string) => Promise<Buffer>;
}

/** A user with this token. */
export function glanceUser(url: string, token = "admin"): GlanceUser {
  const call = async (method: string, path: string, body?: unknown, type = "application/json") => {
    const response = await fetch(`${url}/v2/images${path}`, {
      method,
      headers: { "x-auth-token": token, "content-type": type },
      ...(body === undefined
        ? {}
        : { body: Buffer.isBuffer(body) ? new Uint8Array(body) : JSON.stringify(body) }),
    });
    if (response.ok || response.status === 404) return response;
    throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
  };
  return {
    url,
    async upload(bytes, more = {}) {
      const formats = { disk_format: "raw", container_format: "bare" };
      const said = { name: "crypto", tags: ["FPGA"], visibility: "public", ...formats, ...more };
      const { id } = (await (await call("POST", "", said)).json()) as { id: string };
      await call("PUT", `/${id}/file`, bytes, "application/octet-stream");
      return id;
    },
    async patch(id, changes) {
      const operations = Object.entries(changes).map(([name, value]) => ({
        op: value === undefined ? "remove" : "add",
        path: `/${name}`,
        ...(value === undefined ? {} : { value }),
      }));
      await call("PATCH", `/${id}`, operations, "application/openstack-images-v2.1-json-patch");
    },
    tag: async (id, name, isSet) =>
      void (await call(isSet ? "PUT" : "DELETE", `/${id}/tags/${name}`)),
    act: async (id, action) => void (await call("POST", `/${id}/actions/${action}`)),
    remove: async (id) => void (await call("DELETE", `/${id}`)),
    async show(id) {
      const response = await call("GET", `/${id}`);
      return response.status === 404
        ? undefined
        : ((await response.json()) as Readonly<Record<string, unknown>>);
    },
    download: async (id) => Buffer.from(await (await call("GET", `/${id}/file`)).arrayBuffer()),
  };
}
