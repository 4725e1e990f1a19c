import { createPublicKey } from "node:crypto";
import * as z from "zod/mini";
import { Fault, isFaultCode } from "#domain/faults";
import { type JoinRequest, joinResponse } from "#protocol/join";
import type { Identity } from "./config.ts";
import type { SysfsPort } from "./host/sysfs-port.ts";
import { agentKey, readIdentity, writeIdentity } from "./identity.ts";
import { machineOf } from "./machine.ts";

/** What a join needs. */
export interface JoinOptions {
  readonly url: string;
  readonly token: string;
  readonly stateDir: string;
  readonly nodeName: string;
  /** Reads machine-id and DMI uuid below the root. */
  readonly kernel: Pick<SysfsPort, "read">;
  readonly fetch: typeof globalThis.fetch;
}

/** The operator asked for this cloud by name, so it may say where its images lie. */
const answerSchema = z.extend(joinResponse, { imageOrigins: z.optional(z.array(z.string())) });
type JoinAnswer = z.infer<typeof answerSchema>;

const problem = z.looseObject({ code: z.string(), detail: z.optional(z.string()) });

/**
 * Registers this machine: makes its key, binds it to the machine, trades the one-time token for an
 * identity and stores that. Throws WRONG_STATE when it joined before, INVALID_REQUEST for a URL that
 * is not https, TRY_AGAIN when the cloud does not answer, and what the cloud answers.
 */
export async function joinCloud(options: JoinOptions): Promise<Identity> {
  const { stateDir, nodeName, token } = options;
  const url = requireSafe(options.url);
  const before = await readIdentity(stateDir);
  if (before !== undefined) {
    throw new Fault("WRONG_STATE", `this machine joined already as host ${before.host}`, {
      host: before.host,
    });
  }
  const key = await agentKey(stateDir, true);
  const publicKey = createPublicKey(key).export({ type: "spki", format: "pem" }).toString();
  const machine = await machineOf(options.kernel);
  const answer = await post(options, url, { token, publicKey, machine, nodeName });
  const { host, socketUrl, permitKey, imageOrigins } = answer;
  const identity = { host, nodeName, socketUrl, httpUrl: url, permitKey };
  const whole: Identity = imageOrigins === undefined ? identity : { ...identity, imageOrigins };
  await writeIdentity(stateDir, whole);
  return whole;
}

/** Tokens travel in the body, so plain http is for this machine only. */
function requireSafe(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const loopback = ["127.0.0.1", "[::1]", "localhost"].includes(url?.hostname ?? "");
  const safe = url?.protocol === "https:" || (url?.protocol === "http:" && loopback);
  if (url === undefined || !safe) {
    const expected = "https://… (http:// only for this machine)";
    throw new Fault("INVALID_REQUEST", `--url must be ${expected}`, { field: "url", expected });
  }
  return text.replace(/\/+$/, "");
}

async function post(
  { fetch }: JoinOptions,
  url: string,
  request: JoinRequest,
): Promise<JoinAnswer> {
  const response = await fetch(`${url}/agent/v1/join`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(request),
    redirect: "error",
  }).catch((cause: unknown) => {
    throw new Fault("TRY_AGAIN", `${url} cannot be reached`, {}, { cause });
  });
  const text = await response.text();
  if (!response.ok) throw refusal(response.status, text);
  const parsed = answerSchema.safeParse(json(text));
  if (parsed.success) return parsed.data;
  throw new Fault("INTERNAL", `${url} answered something that is no join answer`);
}

function refusal(status: number, text: string): Fault {
  const known = problem.safeParse(json(text));
  if (known.success && isFaultCode(known.data.code)) {
    return new Fault(known.data.code, known.data.detail);
  }
  return new Fault("TRY_AGAIN", `the cloud answered with HTTP ${status}`, { status });
}

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
