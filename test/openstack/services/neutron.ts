import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** What Nova asks of Neutron for servers without ports. */
export interface Neutron {
  readonly url: string;
  readonly stop: () => Promise<void>;
}

/** A Neutron that has nothing: every list is empty, the port quota has no limit. */
export async function startNeutron(): Promise<Neutron> {
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? "/", "http://neutron");
    answer(response, request.method ?? "GET", pathname);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const { port } = server.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}`;
  return {
    url,
    stop: async () => {
      server.closeAllConnections();
      await server[Symbol.asyncDispose]();
    },
  };
}

function answer(response: ServerResponse, method: string, path: string): void {
  const send = (status: number, body: unknown) => {
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
  };
  const name = path.split("/").filter(Boolean).at(-1)?.replaceAll("-", "_");
  if (method !== "GET")
    send(404, { NeutronError: { type: "NotFound", message: path, detail: "" } });
  else if (name === undefined) {
    const links = [{ rel: "self", href: "v2.0/" }];
    send(200, { versions: [{ id: "v2.0", status: "CURRENT", links }] });
  } else if (name.startsWith("v2")) send(200, { resources: [] });
  else if (path.includes("/quotas")) {
    send(200, { quota: { port: { limit: -1, used: 0, reserved: 0 } } });
  } else send(200, { [name]: [] });
}
