import { Fault } from "#domain/faults";
import type { CreatedImage } from "#protocol/http/images";
import type { Context } from "./command.ts";
import type { LocalImage } from "./digesting.ts";
import { Failure } from "./failure.ts";
import { sendWithRetries } from "./retry.ts";
import { statusProblem } from "./status-problem.ts";

/** Slower than this, in bytes per second, a transfer counts as stuck. */
const slowestRate = 50_000;

/**
 * Sends an image's bytes with the presigned request: its headers and the length, no identity, since
 * the URL itself is the permission. The bytes are read again from the file, never held.
 * Throws IMAGE_CORRUPT when the store refused the digest, Failure for other refusals, TRY_AGAIN.
 */
export async function sendImage(
  context: Context,
  upload: CreatedImage["upload"],
  image: LocalImage,
  again: string,
): Promise<void> {
  const { io, settings } = context;
  const { size } = image.digest;
  const progress = context.progress("sending");
  try {
    const { response, text } = await sendWithRetries(io, {
      url: new URL(upload.url, settings.url).href,
      init: () => ({
        method: upload.method,
        headers: { ...upload.headers, "content-length": String(size) },
        body: ReadableStream.from(
          counted(io.files.chunks(image.path), (sent) => progress.show((sent / size) * 100)),
        ),
        duplex: "half",
        redirect: "error",
      }),
      timeoutMs: (settings.timeout + size / slowestRate) * 1000,
      again,
    });
    if (!response.ok) throw refusal(response, text);
  } finally {
    progress.end();
  }
}

async function* counted(
  chunks: AsyncIterable<Uint8Array>,
  report: (sent: number) => void,
): AsyncGenerator<Uint8Array> {
  let sent = 0;
  for await (const chunk of chunks) {
    yield chunk;
    sent += chunk.length;
    report(sent);
  }
}

/** S3's words for bytes that are not those announced (S3 API, "Error responses"). */
const digestErrors: ReadonlySet<string> = new Set([
  "BadDigest",
  "InvalidDigest",
  "XAmzContentSHA256Mismatch",
  "XAmzContentChecksumMismatch",
]);

function refusal(response: Response, xml: string): Error {
  const code = /<Code>([^<]{1,100})<\/Code>/.exec(xml)?.[1] ?? "";
  const message = /<Message>([^<]{1,500})<\/Message>/.exec(xml)?.[1] ?? "";
  if (digestErrors.has(code)) {
    return new Fault("IMAGE_CORRUPT", `The store refused the bytes: ${message}`, {
      hint: "did the file change while it was sent? upload it again",
    });
  }
  const problem = statusProblem(response);
  const detail = code === "" ? problem.detail : `The store refused the upload: ${code} ${message}`;
  return new Failure({ code: problem.code, message: detail }, problem);
}
