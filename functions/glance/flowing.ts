import { Fault } from "#domain/faults";

/**
 * The chunks of a download. One that breaks off, or stands still for `stallMs`, ends with
 * DOWNLOAD_FAILED; leaving the loop ends the download.
 */
export async function* flowing(
  body: ReadableStream<Uint8Array>,
  stallMs: number,
): AsyncGenerator<Uint8Array> {
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await nextOf(reader, stallMs);
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

type Reader = ReadableStreamDefaultReader<Uint8Array>;

async function nextOf(reader: Reader, stallMs: number): ReturnType<Reader["read"]> {
  let timer: NodeJS.Timeout | undefined;
  const stalled = new Promise<never>((_resolve, reject) => {
    const why = `no byte for ${stallMs / 1000} s`;
    timer = setTimeout(() => reject(new Fault("DOWNLOAD_FAILED", why)), stallMs);
  });
  try {
    return await Promise.race([reader.read(), stalled]);
  } catch (error) {
    if (error instanceof Fault) throw error;
    throw new Fault("DOWNLOAD_FAILED", "the download broke off", {}, { cause: error });
  } finally {
    clearTimeout(timer);
  }
}
