import { createHash, timingSafeEqual } from "node:crypto";
import { S3Error } from "./errors.ts";
import type { S3Request } from "./request.ts";
import { parameter } from "./request.ts";
import type { Signer } from "./sigv4.ts";
import { canonicalRequest, requestStringToSign, sign, signerOf } from "./sigv4.ts";

/** The one key pair that the stand-in knows. */
export interface BucketCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/** What has to be known to judge a signature. */
export interface SignaturePolicy {
  readonly credentials: BucketCredentials;
  readonly region: string;
  readonly now: () => Date;
}

/** A request whose signature is good. The signature seeds the chain of a streamed body. */
export interface Authenticated {
  readonly signer: Signer;
  readonly signature: string;
  /** The value of x-amz-content-sha256: a digest in hex or one of S3's words. */
  readonly payload: string;
}

interface Claim {
  readonly credential: readonly string[];
  readonly signedHeaders: readonly string[];
  readonly signature: string;
  readonly timestamp: string;
  readonly payload: string;
  readonly presigned: boolean;
}

const algorithm = "AWS4-HMAC-SHA256";
/** How far clocks may be apart (S3, "RequestTimeTooSkewed"). */
const maxSkewMs = 15 * 60_000;
/** The longest life of a presigned URL: seven days. */
const maxExpirySeconds = 604_800;

/**
 * Checks the SigV4 signature in the Authorization header or in the query of a presigned URL.
 * Throws S3Error with the code S3 gives for each way to fail.
 */
export function authenticate(request: S3Request, policy: SignaturePolicy): Authenticated {
  const presigned = request.query.has("X-Amz-Algorithm") || request.query.has("X-Amz-Signature");
  const claim = presigned ? claimFromQuery(request) : claimFromHeader(request);
  checkCredential(claim, policy);
  if (presigned) checkLifetime(request, claim.timestamp, policy.now());
  else checkSkew(claim.timestamp, policy.now());
  checkCoverage(request, claim);
  const signer = signerOf({
    secret: policy.credentials.secretAccessKey,
    timestamp: claim.timestamp,
    region: policy.region,
  });
  checkSignature(request, claim, signer);
  return { signer, signature: claim.signature, payload: claim.payload };
}

function claimFromHeader(request: S3Request): Claim {
  const authorization = request.headers.get("authorization");
  if (authorization === undefined) throw new S3Error("AccessDenied", "Access Denied");
  if (!authorization.startsWith(`${algorithm} `)) {
    const message = `The authorization mechanism you have provided is not supported. Please use ${algorithm}.`;
    throw new S3Error("InvalidRequest", message);
  }
  const fields = fieldsOf(authorization.slice(algorithm.length));
  const payload = request.headers.get("x-amz-content-sha256");
  if (payload === undefined) {
    const message = "Missing required header for this request: x-amz-content-sha256";
    throw new S3Error("InvalidRequest", message);
  }
  const [credential, names, signature] = [
    fields.get("Credential"),
    fields.get("SignedHeaders"),
    fields.get("Signature"),
  ];
  if (credential === undefined || names === undefined || signature === undefined) {
    throw malformedHeader("The authorization header is malformed.");
  }
  return {
    credential: credential.split("/"),
    signedHeaders: names.split(";"),
    signature,
    timestamp: request.headers.get("x-amz-date") ?? "",
    payload,
    presigned: false,
  };
}

function fieldsOf(text: string): ReadonlyMap<string, string> {
  const fields = text.split(",").map((field) => field.trim());
  return new Map(
    fields.map((field) => {
      const at = field.indexOf("=");
      return [field.slice(0, at), field.slice(at + 1)] as const;
    }),
  );
}

function claimFromQuery(request: S3Request): Claim {
  const value = (name: string): string => {
    const found = request.query.get(`X-Amz-${name}`);
    if (found !== undefined) return found;
    const message =
      "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.";
    throw new S3Error("AuthorizationQueryParametersError", message);
  };
  if (value("Algorithm") !== algorithm) {
    const message = 'X-Amz-Algorithm only supports "AWS4-HMAC-SHA256"';
    throw new S3Error("AuthorizationQueryParametersError", message);
  }
  return {
    credential: value("Credential").split("/"),
    signedHeaders: value("SignedHeaders").split(";"),
    signature: value("Signature"),
    timestamp: value("Date"),
    payload: parameter(request, "x-amz-content-sha256") ?? "UNSIGNED-PAYLOAD",
    presigned: true,
  };
}

function checkCredential(claim: Claim, policy: SignaturePolicy): void {
  const [accessKeyId = "", date, region, service, terminator] = claim.credential;
  if (accessKeyId !== policy.credentials.accessKeyId) {
    const message = "The AWS Access Key Id you provided does not exist in our records.";
    throw new S3Error("InvalidAccessKeyId", message, { facts: { AWSAccessKeyId: accessKeyId } });
  }
  if (region !== policy.region) {
    throw malformedHeader(
      `The authorization header is malformed; the region '${region ?? ""}' is wrong; expecting '${policy.region}'`,
      { Region: policy.region },
    );
  }
  const scoped = date === claim.timestamp.slice(0, 8) && claim.credential.length === 5;
  if (!scoped || service !== "s3" || terminator !== "aws4_request") {
    throw malformedHeader("The authorization header is malformed; the Credential is mal-formed.");
  }
}

function malformedHeader(message: string, facts: Record<string, string> = {}): S3Error {
  return new S3Error("AuthorizationHeaderMalformed", message, { facts });
}

function timeOf(timestamp: string): number {
  const match = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(timestamp);
  const [, year, month, day, hour, minute, second] = match ?? [];
  const time = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  if (Number.isNaN(time)) {
    const message = "AWS authentication requires a valid Date or x-amz-date header";
    throw new S3Error("AccessDenied", message);
  }
  return time;
}

function checkSkew(timestamp: string, now: Date): void {
  if (Math.abs(timeOf(timestamp) - now.getTime()) <= maxSkewMs) return;
  const message = "The difference between the request time and the current time is too large.";
  throw new S3Error("RequestTimeTooSkewed", message, {
    facts: {
      RequestTime: timestamp,
      ServerTime: now.toISOString(),
      MaxAllowedSkewMilliseconds: String(maxSkewMs),
    },
  });
}

function checkLifetime(request: S3Request, timestamp: string, now: Date): void {
  const expires = Number(request.query.get("X-Amz-Expires") ?? "");
  if (!Number.isInteger(expires) || expires < 1 || expires > maxExpirySeconds) {
    const message = `X-Amz-Expires must be between 1 and ${maxExpirySeconds} seconds`;
    throw new S3Error("AuthorizationQueryParametersError", message);
  }
  const signed = timeOf(timestamp);
  if (signed - now.getTime() > maxSkewMs) {
    throw new S3Error("AccessDenied", "Request is not valid yet");
  }
  const end = signed + expires * 1000;
  if (now.getTime() <= end) return;
  throw new S3Error("AccessDenied", "Request has expired", {
    facts: { Expires: new Date(end).toISOString(), ServerTime: now.toISOString() },
  });
}

/** A header that changes the meaning of a request but is not signed could have been added by anyone. */
function checkCoverage(request: S3Request, claim: Claim): void {
  const signed = new Set(claim.signedHeaders);
  const meant = [...request.headers.keys()].filter(
    (name) => name === "host" || (name.startsWith("x-amz-") && name !== "x-amz-content-sha256"),
  );
  if (!claim.presigned || request.headers.has("x-amz-content-sha256")) {
    meant.push("x-amz-content-sha256");
  }
  const missing = meant.filter((name) => !signed.has(name));
  if (missing.length > 0) {
    const message = "There were headers present in the request which were not signed";
    throw new S3Error("AccessDenied", message, { facts: { HeadersNotSigned: missing.join(", ") } });
  }
  if (parameter(request, "x-amz-security-token") !== undefined) {
    throw new S3Error("InvalidToken", "The provided token is malformed or otherwise invalid.");
  }
}

function checkSignature(request: S3Request, claim: Claim, signer: Signer): void {
  const canonical = canonicalRequest({
    method: request.method,
    path: request.path,
    query: request.pairs.filter(([name]) => !(claim.presigned && name === "X-Amz-Signature")),
    headers: claim.signedHeaders.map((name) => [name, request.headers.get(name) ?? ""] as const),
    payloadHash: claim.payload,
  });
  const text = requestStringToSign(canonical, signer);
  if (sameText(sign(signer, text), claim.signature)) return;
  const message =
    "The request signature we calculated does not match the signature you provided. Check your key and signing method.";
  throw new S3Error("SignatureDoesNotMatch", message, {
    facts: {
      AWSAccessKeyId: claim.credential[0] ?? "",
      StringToSign: text,
      SignatureProvided: claim.signature,
      CanonicalRequest: canonical,
    },
  });
}

/** Compares in constant time whatever the lengths. */
export function sameText(left: string, right: string): boolean {
  const digest = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(left), digest(right));
}
