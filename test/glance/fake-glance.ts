import { createHash, randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** An image as this Glance keeps it. */
interface Kept {
  readonly facts: Record<string, unknown>;
  bytes?: Buffer;
}

/** A Glance in this process: what it answers is held to the real one by the same tests. */
export interface FakeGlance {
  readonly url: string;
  /** The project of images that say no other. */
  readonly owner: string;
  /** Paths of the requests so far, with their method. */
  readonly asked: string[];
  readonly images: Map<string, Kept>;
  /** Answers with this status instead, when it is one. */
  refuse: (method: string, path: string) => number | undefined;
  readonly close: () => Promise<void>;
}

const owner = "0d5f5d7c9e0b4f0fb6b3f3f1f0a1b2c3";
const deleted = new Set(["deleted"]);

/** Starts it on a free port. Callers are one admin; nobody asks for a token. */
export async function startFakeGlance(): Promise<FakeGlance> {
  const images = new Map<string, Kept>();
  const fake: Omit<FakeGlance, "url" | "close"> = {
    owner,
    asked: [],
    images,
    refuse: () => undefined,
  };
  const server = createServer((request, response) => {
    void bodyOf(request).then((body) => {
      const url = new URL(request.url ?? "/", "http://glance");
      const method = request.method ?? "GET";
      fake.asked.push(`${method} ${url.pathname}`);
      const refused = fake.refuse(method, url.pathname);
      if (refused !== undefined) return send(response, refused, "<html></html>");
      return answer(images, { method, url, body }, response);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return Object.assign(fake, {
    url: `http://127.0.0.1:${port}`,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  });
}

interface Asked {
  readonly method: string;
  readonly url: URL;
  readonly body: Buffer;
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

function send(response: ServerResponse, status: number, body: unknown = ""): void {
  const isRaw = Buffer.isBuffer(body) || typeof body === "string";
  response.writeHead(status).end(isRaw ? body : JSON.stringify(body));
}

function answer(images: Map<string, Kept>, asked: Asked, response: ServerResponse): void {
  const [, version, collection, id, part, last] = asked.url.pathname.split("/");
  if (version !== "v2" || collection !== "images") return send(response, 404);
  if (id === undefined) return onAll(images, asked, response);
  const kept = images.get(id);
  if (kept === undefined || deleted.has(String(kept.facts["status"]))) return send(response, 404);
  return onOne(kept, asked, `${part ?? ""}${last === undefined ? "" : `/${last}`}`, response);
}

function onAll(images: Map<string, Kept>, { method, url, body }: Asked, response: ServerResponse) {
  if (method === "GET") return send(response, 200, listed(images, url));
  const said = JSON.parse(body.toString()) as Record<string, unknown> & { readonly id?: string };
  const id = said.id ?? randomUUID();
  if (images.has(id)) return send(response, 409, "<html></html>");
  const facts = {
    visibility: "shared",
    owner,
    tags: [],
    ...said,
    id,
    status: "queued",
    size: null,
    checksum: null,
    created_at: stamp(),
    updated_at: stamp(),
  };
  images.set(id, { facts });
  return send(response, 201, facts);
}

const stamp = () => `${new Date().toISOString().slice(0, 19)}Z`;

function listed(images: Map<string, Kept>, url: URL): unknown {
  const { searchParams: query } = url;
  const since = query.get("updated_at")?.replace(/^gte:/, "") ?? "";
  const found = [...images.values()]
    .map(({ facts }) => facts)
    .filter((one) => !deleted.has(String(one["status"])))
    .filter((one) => (one["tags"] as string[]).includes(query.get("tag") ?? ""))
    .filter((one) => String(one["updated_at"]) >= since)
    .filter((one) => one["visibility"] !== "community" || query.get("visibility") === "all")
    .toSorted((a, b) => orderOf(a).localeCompare(orderOf(b)));
  const marker = query.get("marker");
  const start = found.findIndex(({ id }) => id === marker) + 1;
  const page = found.slice(start, start + Number(query.get("limit")));
  if (start + page.length >= found.length) return { images: page };
  query.set("marker", String(page.at(-1)?.["id"]));
  return { images: page, next: `/v2/images?${query.toString()}` };
}

const orderOf = (facts: Kept["facts"]) => `${String(facts["updated_at"])} ${String(facts["id"])}`;

interface Turn {
  readonly kept: Kept;
  readonly body: Buffer;
  readonly tag: string;
  readonly response: ServerResponse;
}

const tagsOf = ({ facts }: Kept) => facts["tags"] as readonly string[];

/** What can be asked of one image, by method and what follows its id. */
const turns: Readonly<Record<string, (turn: Turn) => void>> = {
  "GET ": ({ kept, response }) => send(response, 200, kept.facts),
  "GET file": ({ kept, response }) => {
    if (kept.facts["status"] === "active") send(response, 200, kept.bytes);
    else send(response, 403);
  },
  "PUT file": ({ kept, body, response }) => {
    if (kept.facts["status"] === "queued") fill(kept, body, response);
    else send(response, 409);
  },
  "POST actions/deactivate": ({ kept, response }) =>
    change(kept, { status: "deactivated" }, response),
  "POST actions/reactivate": ({ kept, response }) => change(kept, { status: "active" }, response),
  "DELETE ": ({ kept, response }) => change(kept, { status: "deleted" }, response),
  "PATCH ": ({ kept, body, response }) => change(kept, patched(kept.facts, body), response, 200),
  "PUT tag": ({ kept, tag, response }) =>
    change(kept, { tags: [...new Set([...tagsOf(kept), tag])] }, response),
  "DELETE tag": ({ kept, tag, response }) =>
    change(kept, { tags: tagsOf(kept).filter((one) => one !== tag) }, response),
};

function onOne(kept: Kept, { method, body }: Asked, part: string, response: ServerResponse): void {
  const tag = /^tags\/(.+)$/.exec(part)?.[1];
  const turn = turns[`${method} ${tag === undefined ? part : "tag"}`];
  if (turn === undefined) send(response, 404);
  else turn({ kept, body, tag: tag ?? "", response });
}

function patched(facts: Kept["facts"], body: Buffer): Record<string, unknown> {
  const operations = JSON.parse(body.toString()) as { op: string; path: string; value: unknown }[];
  const after = { ...facts };
  for (const { op, path, value } of operations) {
    const name = path.slice(1).replaceAll("~1", "/").replaceAll("~0", "~");
    if (op === "remove") delete facts[name];
    else after[name] = value;
  }
  return after;
}

function change(kept: Kept, news: object, response: ServerResponse, status = 204): void {
  Object.assign(kept.facts, news, { updated_at: stamp() });
  send(response, status, status === 204 ? "" : kept.facts);
}

function fill(kept: Kept, bytes: Buffer, response: ServerResponse): void {
  kept.bytes = bytes;
  const hash = (name: string) => createHash(name).update(bytes).digest("hex");
  const digests = {
    checksum: hash("md5"),
    os_hash_algo: "sha512",
    os_hash_value: hash("sha512"),
  };
  change(kept, { ...digests, status: "active", size: bytes.length }, response);
}
