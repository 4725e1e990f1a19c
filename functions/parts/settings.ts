import * as z from "zod/mini";
import { bindDeadlineMs } from "#domain/claim";
import type { Environment } from "../entry.ts";

const number = (fallback: number) =>
  z.pipe(
    z.optional(z.string()),
    z.transform((text) => (text === undefined || text === "" ? fallback : Number(text))),
  );

const environmentSchema = z.object({
  GATEHOUSE_TABLE: z.string(),
  GATEHOUSE_BUCKET: z.string(),
  GATEHOUSE_AUTH: z._default(z.enum(["none", "oidc", "keystone"]), "oidc"),
  GATEHOUSE_OIDC_ISSUER: z._default(z.string(), ""),
  GATEHOUSE_OIDC_AUDIENCE: z._default(z.string(), "gatehouse"),
  GATEHOUSE_SIGNATURE_POLICY: z._default(z.enum(["required", "optional"]), "required"),
  GATEHOUSE_SOCKET_URL: z._default(z.string(), ""),
  GATEHOUSE_SOCKET_ENDPOINT: z._default(z.string(), ""),
  GATEHOUSE_DEFAULT_QUOTA: number(8),
  GATEHOUSE_BIND_DEADLINE_SECONDS: number(bindDeadlineMs / 1000),
  GATEHOUSE_MAX_IMAGE_BYTES: number(256 * 1024 * 1024),
});

/** What an installation decides; names and meanings are in docs/configuration.md. */
export interface Settings {
  readonly table: string;
  readonly bucket: string;
  readonly auth: "none" | "oidc" | "keystone";
  readonly oidc: { readonly issuer: string; readonly audience: string };
  readonly signaturePolicy: "required" | "optional";
  readonly socketUrl: string;
  readonly socketEndpoint: string;
  readonly defaultQuota: number;
  readonly bindDeadlineMs: number;
  readonly maxImageBytes: number;
}

/** Reads the settings; throws with the variable's name when one is missing or wrong. */
export function settingsFrom(environment: Environment): Settings {
  const parsed = environmentSchema.safeParse(environment);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new Error(`${issue?.path.join(".") ?? "environment"}: ${issue?.message ?? "wrong"}`);
  }
  const known = parsed.data;
  return {
    table: known.GATEHOUSE_TABLE,
    bucket: known.GATEHOUSE_BUCKET,
    auth: known.GATEHOUSE_AUTH,
    oidc: { issuer: known.GATEHOUSE_OIDC_ISSUER, audience: known.GATEHOUSE_OIDC_AUDIENCE },
    signaturePolicy: known.GATEHOUSE_SIGNATURE_POLICY,
    socketUrl: known.GATEHOUSE_SOCKET_URL,
    socketEndpoint: known.GATEHOUSE_SOCKET_ENDPOINT,
    defaultQuota: positive("GATEHOUSE_DEFAULT_QUOTA", known.GATEHOUSE_DEFAULT_QUOTA),
    bindDeadlineMs:
      1000 * positive("GATEHOUSE_BIND_DEADLINE_SECONDS", known.GATEHOUSE_BIND_DEADLINE_SECONDS),
    maxImageBytes: positive("GATEHOUSE_MAX_IMAGE_BYTES", known.GATEHOUSE_MAX_IMAGE_BYTES),
  };
}

function positive(name: string, value: number): number {
  if (!Number.isInteger(value) || value < 0) {
    throw new Error(`${name}: expected a whole number from 0`);
  }
  return value;
}
