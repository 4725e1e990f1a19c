import { Fault } from "#domain/faults";
import { Interrupted } from "./failure.ts";
import { systemCode } from "./files.ts";
import type { Io } from "./io.ts";

/** Tries in all, the first included. */
const tries = 6;
/** Full jitter below 0.25 s × 2ⁿ, at most 8 s: 15 s on average over all retries. */
const firstPauseMs = 250;
const longestPauseMs = 8000;

/** One request that may be sent again as it is. */
export interface Resend {
  readonly url: string;
  /** Makes the request anew, since a body that is a stream can be sent only once. */
  readonly init: () => RequestInit;
  /** For all tries together. */
  readonly timeoutMs: number;
  /** Told to a user who interrupts. */
  readonly again: string;
}

/** An answer that arrived whole. */
export interface Reply {
  readonly response: Response;
  readonly text: string;
}

/**
 * Sends until something other than 429, 503 or a broken connection comes back. Retry-After is kept
 * to; when it points past the time limit the answer is returned as it is.
 * Throws TRY_AGAIN when nothing answered, Interrupted when the user stopped it.
 */
export async function sendWithRetries(io: Io, request: Resend): Promise<Reply> {
  const endsAt = io.now().getTime() + request.timeoutMs;
  const signal = AbortSignal.any([io.interrupted, io.deadline(request.timeoutMs)]);
  for (let attempt = 1; ; attempt++) {
    const result = await attemptOnce(io, request, signal);
    if (!(result instanceof Error) && !isBusy(result.response)) return result;
    if (io.interrupted.aborted) throw new Interrupted(request.again);
    const pause = pauseMs(io, attempt, result);
    if (attempt >= tries || signal.aborted || io.now().getTime() + pause > endsAt) {
      return settle(request, result, signal.aborted);
    }
    await io.sleep(pause, signal);
  }
}

async function attemptOnce(io: Io, request: Resend, signal: AbortSignal): Promise<Reply | Error> {
  try {
    const response = await io.fetch(request.url, { ...request.init(), signal });
    return { response, text: await response.text() };
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

function settle(request: Resend, result: Reply | Error, late: boolean): Reply {
  if (!(result instanceof Error)) return result;
  throw unreachable(request.url, result, late ? request.timeoutMs : undefined);
}

function isBusy(response: Response): boolean {
  return response.status === 503 || response.status === 429;
}

function pauseMs(io: Io, attempt: number, result: Reply | Error): number {
  const backOff = io.random() * Math.min(longestPauseMs, firstPauseMs * 2 ** (attempt - 1));
  if (result instanceof Error) return backOff;
  return backOff + retryAfterMs(result.response.headers.get("retry-after"), io.now());
}

/** Retry-After in seconds or as a date (RFC 9110 §10.2.3); what cannot be read counts as 0. */
function retryAfterMs(value: string | null, now: Date): number {
  if (value === null) return 0;
  const ms = /^\d+$/.test(value.trim()) ? Number(value) * 1000 : Date.parse(value) - now.getTime();
  return Number.isFinite(ms) ? Math.max(0, ms) : 0;
}

function unreachable(url: string, cause: Error, timeoutMs: number | undefined): Fault {
  const { origin } = new URL(url);
  const why =
    timeoutMs === undefined
      ? (systemCode(cause.cause) ?? systemCode(cause) ?? cause.message)
      : `within ${timeoutMs / 1000} s`;
  return new Fault(
    "TRY_AGAIN",
    `No answer from ${origin} (${why})`,
    { unreachable: true },
    { cause },
  );
}
