import * as z from "zod/mini";
import { Fault } from "#domain/faults";
import type { OpenStack, OpenStackCall, OpenStackReply } from "#openstack/cloud";

/** One image as Glance's API v2 shows it; `updatedAt` in ms, of which Glance knows whole seconds. */
export interface GlanceImage {
  readonly id: string;
  readonly name: string;
  readonly owner: string | undefined;
  /** queued, saving, uploading, importing, active, deactivated, killed, deleted, pending_delete. */
  readonly status: string;
  readonly visibility: string;
  readonly tags: readonly string[];
  readonly size: number | undefined;
  /** md5 in hex; newer Glance versions leave it out. */
  readonly checksum: string | undefined;
  readonly hash: { readonly algorithm: string; readonly value: string } | undefined;
  readonly updatedAt: number;
  /** Everything else that is text: users' own properties among it. */
  readonly properties: Readonly<Record<string, string>>;
}

/** What a list of images is asked for. */
export interface Wanted {
  readonly tag: string;
  /** ms; only images changed at or after this second. */
  readonly since?: number | undefined;
  /** Images of one page. */
  readonly pageSize: number;
}

/** A new image: its description without bytes. */
export interface NewImage {
  readonly id: string;
  readonly name: string;
  readonly owner: string;
  readonly visibility: "public" | "community" | "shared" | "private";
  readonly tags: readonly string[];
  readonly properties: Readonly<Record<string, string>>;
}

const text = z.nullish(z.string());
const imageSchema = z.looseObject({
  id: z.string(),
  name: text,
  owner: text,
  status: z.string(),
  visibility: z.string(),
  tags: z._default(z.array(z.string()), []),
  size: z.nullish(z.number()),
  checksum: text,
  os_hash_algo: text,
  os_hash_value: text,
  updated_at: z.string(),
});
const listSchema = z.object({ images: z.array(imageSchema), next: z.optional(z.string()) });

/** Milliseconds within which Glance stores an upload, or gives the beginning of a download. */
const bytesTimeoutMs = 240_000;

/**
 * All images with a tag, whoever owns them, by the time of their last change; those that change while
 * pages are read come again at the end. OPENSTACK_UNAVAILABLE.
 */
export async function* taggedImages(
  openstack: OpenStack,
  { tag, since, pageSize }: Wanted,
): AsyncGenerator<GlanceImage> {
  let marker: string | undefined;
  do {
    const query = {
      tag,
      // Without it an admin's list leaves out community images of others.
      visibility: "all",
      sort: "updated_at:asc,id:asc",
      limit: String(pageSize),
      updated_at: since === undefined ? undefined : `gte:${secondOf(since)}`,
      marker,
    };
    const reply = await send(openstack, { method: "GET", path: "/images", query });
    const page = listSchema.safeParse(jsonOf(expectStatus(reply, 200)));
    if (!page.success) throw unreadable("a list of images");
    yield* page.data.images.map(imageOf);
    marker = markerOf(page.data.next);
  } while (marker !== undefined);
}

/** One image; undefined when Glance has none, or none for our account. OPENSTACK_UNAVAILABLE. */
export async function getImage(openstack: OpenStack, id: string): Promise<GlanceImage | undefined> {
  const reply = await send(openstack, { method: "GET", path: pathOf(id) });
  if (reply.status === 404) return undefined;
  const image = imageSchema.safeParse(jsonOf(expectStatus(reply, 200)));
  if (!image.success) throw unreadable("an image");
  return imageOf(image.data);
}

/**
 * The bytes of an image. OPENSTACK_UNAVAILABLE; DOWNLOAD_FAILED when Glance gives none, as it does of
 * a deactivated image.
 */
export async function openImage(
  openstack: OpenStack,
  id: string,
): Promise<ReadableStream<Uint8Array>> {
  const call = { method: "GET", path: `${pathOf(id)}/file`, timeoutMs: bytesTimeoutMs } as const;
  const headers = { accept: "application/octet-stream" };
  const path = (await prefix(openstack)) + call.path;
  const response = await openstack.open({ ...call, service: "image", path, headers });
  if (response.status === 200 && response.body !== null) return response.body;
  await response.body?.cancel();
  throw new Fault("DOWNLOAD_FAILED", `Glance answered ${response.status} for image ${id}`);
}

/** Makes an image without bytes; false when the id is taken, also by a deleted image. */
export async function createImage(openstack: OpenStack, image: NewImage): Promise<boolean> {
  const { properties, ...core } = image;
  const formats = { disk_format: "raw", container_format: "bare" };
  const json = { ...properties, ...core, ...formats };
  const reply = await send(openstack, { method: "POST", path: "/images", json });
  if (reply.status === 409) return false;
  expectStatus(reply, 201);
  return true;
}

/** Gives a queued image its bytes. CONFLICT when it has some already. */
export async function uploadImage(
  openstack: OpenStack,
  id: string,
  body: ReadableStream<Uint8Array>,
): Promise<void> {
  const headers = { "content-type": "application/octet-stream" };
  const path = `${pathOf(id)}/file`;
  const call = { method: "PUT", path, headers, body, timeoutMs: bytesTimeoutMs } as const;
  const reply = await send(openstack, call);
  if (reply.status === 409) throw new Fault("CONFLICT", `image ${id} is being written in Glance`);
  expectStatus(reply, 204);
}

/** `deactivate` forbids downloads, `reactivate` allows them again. */
export async function actOnImage(
  openstack: OpenStack,
  id: string,
  action: "deactivate" | "reactivate",
): Promise<void> {
  const path = `${pathOf(id)}/actions/${action}`;
  expectStatus(await send(openstack, { method: "POST", path }), 204);
}

/** Deletes an image; one that is not there is fine. */
export async function deleteImage(openstack: OpenStack, id: string): Promise<void> {
  const reply = await send(openstack, { method: "DELETE", path: pathOf(id) });
  if (reply.status !== 404) expectStatus(reply, 204);
}

type Call = Omit<OpenStackCall, "service">;

async function send(openstack: OpenStack, call: Call): Promise<OpenStackReply> {
  const path = (await prefix(openstack)) + call.path;
  return await openstack.send({ ...call, service: "image", path });
}

/** Some catalogs end Glance's endpoint with the version, most do not. */
async function prefix(openstack: OpenStack): Promise<string> {
  const endpoint = await openstack.endpoint("image");
  return endpoint !== undefined && /\/v2(?:\.\d+)?$/.test(endpoint) ? "" : "/v2";
}

const pathOf = (id: string) => `/images/${encodeURIComponent(id)}`;
const secondOf = (ms: number) => new Date(ms).toISOString().replace(/\.\d+Z$/, "Z");

/** Only the marker is taken from the link: behind a proxy its path may be another. */
function markerOf(next: string | undefined): string | undefined {
  if (next === undefined) return undefined;
  return new URL(next, "http://glance").searchParams.get("marker") ?? undefined;
}

function imageOf(image: z.infer<typeof imageSchema>): GlanceImage {
  const { os_hash_algo: algorithm, os_hash_value: value } = image;
  const hash = algorithm && value ? { algorithm, value: value.toLowerCase() } : undefined;
  return {
    id: image.id,
    name: image.name ?? "",
    owner: image.owner ?? undefined,
    status: image.status,
    visibility: image.visibility,
    tags: image.tags,
    size: image.size ?? undefined,
    checksum: image.checksum?.toLowerCase(),
    hash,
    updatedAt: Date.parse(image.updated_at),
    properties: Object.fromEntries(
      Object.entries(image).flatMap(([name, said]) =>
        typeof said === "string" ? [[name, said] as const] : [],
      ),
    ),
  };
}

/** Glance's refusals are HTML, of which nothing is worth telling but the status. */
function expectStatus(reply: OpenStackReply, status: number): OpenStackReply {
  if (reply.status === status) return reply;
  throw new Fault("OPENSTACK_UNAVAILABLE", `image: Glance answered ${reply.status}`, {
    service: "image",
  });
}

function unreadable(what: string): Fault {
  return new Fault("OPENSTACK_UNAVAILABLE", `image: Glance answered what is not ${what}`, {
    service: "image",
  });
}

function jsonOf({ text: body }: OpenStackReply): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}
