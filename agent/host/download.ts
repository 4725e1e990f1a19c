import { Fault, isFault } from "#domain/faults";
import { imageDigest } from "#protocol/images/digest";
import type { ImageReference } from "#protocol/wire/shapes";

/** The part of `fetch` that downloads need. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

export interface DownloadOptions {
  readonly fetch: Fetch;
  /** Origins such as `https://bucket.s3.eu-central-1.amazonaws.com` that images may come from. */
  readonly allowedOrigins: readonly string[];
  readonly maxBytes: number;
}

/** Where bytes go while they are hashed. */
export interface Sink {
  write(chunk: Uint8Array): Promise<void>;
  /** Progress in percent, and the wish to stop. */
  readonly progress: (percent: number) => void;
  readonly signal: AbortSignal;
}

/** Redirects that are followed, all within one origin. */
const maxRedirects = 3;

const loopback: readonly string[] = ["127.0.0.1", "[::1]", "localhost"];

/**
 * Streams an image into `sink` and proves size, md5 and sha256. One attempt. URLs are presigned, so
 * no error names one. Throws DOWNLOAD_FAILED, IMAGE_TOO_LARGE, IMAGE_CORRUPT and what `sink` throws.
 */
export async function downloadInto(
  options: DownloadOptions,
  image: ImageReference,
  sink: Sink,
): Promise<void> {
  const limit = Math.min(image.size, options.maxBytes);
  if (image.size > options.maxBytes) throw tooLarge(options.maxBytes);
  const response = await request(options, image.url, sink.signal);
  const announced = Number(response.headers.get("content-length") ?? image.size);
  if (announced > limit) {
    await response.body?.cancel();
    throw tooLarge(limit);
  }
  const digester = imageDigest(limit);
  let size = 0;
  for await (const chunk of chunksOf(response)) {
    digester.update(chunk);
    await sink.write(chunk);
    size += chunk.length;
    sink.progress(Math.floor((100 * size) / image.size));
  }
  const { sha256, md5 } = digester.final();
  if (size < image.size && announced === image.size) throw failed("the transfer ended early");
  if (sha256 !== image.sha256 || md5 !== image.md5) {
    throw new Fault("IMAGE_CORRUPT", undefined, { field: "sha256", expected: image.sha256 });
  }
}

/** A network that breaks off is not the image's fault; everything else keeps its own meaning. */
async function* chunksOf(response: Response): AsyncGenerator<Uint8Array> {
  const reader = response.body?.getReader();
  if (!reader) throw failed("the answer has no body");
  try {
    for (;;) {
      const { done, value } = await reader.read().catch((error: unknown) => {
        throw failed("the transfer broke off", error);
      });
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

async function request(
  { fetch, allowedOrigins }: DownloadOptions,
  first: string,
  signal: AbortSignal,
): Promise<Response> {
  let url = allowedUrl(first, allowedOrigins);
  for (let hops = 0; hops <= maxRedirects; hops++) {
    const response = await fetch(url.href, { redirect: "manual", signal }).catch(
      (error: unknown) => {
        signal.throwIfAborted();
        throw failed("no connection", error);
      },
    );
    if (response.status === 200) return response;
    await response.body?.cancel();
    if (response.status < 300 || response.status > 399) throw refused(response.status);
    url = redirected(url, response.headers.get("location"));
  }
  throw failed("too many redirects");
}

/** Parses and judges a URL before anything is sent to it. */
function allowedUrl(text: string, allowedOrigins: readonly string[]): URL {
  const url = URL.parse(text);
  if (!url || url.username !== "" || url.password !== "") throw failed("not a usable URL");
  const secure = url.protocol === "https:";
  const local = url.protocol === "http:" && loopback.includes(url.hostname);
  if (!secure && !local) throw failed("https is required beyond loopback");
  if (!allowedOrigins.includes(url.origin)) {
    throw new Fault("DOWNLOAD_FAILED", `Images do not come from ${url.origin}`, {
      origin: url.origin,
    });
  }
  return url;
}

function redirected(from: URL, location: string | null): URL {
  const to = location === null ? null : URL.parse(location, from.href);
  if (to?.origin !== from.origin) throw failed("redirected to another host");
  return to;
}

function refused(status: number): Fault {
  return new Fault("DOWNLOAD_FAILED", `The store answered ${status}`, { status });
}

function tooLarge(limit: number): Fault {
  return new Fault("IMAGE_TOO_LARGE", undefined, { field: "size", expected: `≤ ${limit}` });
}

function failed(reason: string, cause?: unknown): Fault {
  return new Fault("DOWNLOAD_FAILED", `The image could not be fetched: ${reason}`, {}, { cause });
}

/** True when another attempt may help: no connection, a break, a busy store. */
export function isPassing(error: unknown): boolean {
  if (!isFault(error, "DOWNLOAD_FAILED")) return false;
  const { status, origin } = error.detail;
  if (origin !== undefined) return false;
  return status === undefined || (typeof status === "number" && (status >= 500 || status === 429));
}
