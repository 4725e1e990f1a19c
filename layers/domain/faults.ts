/**
 * The public table of fault codes. The same code travels in problem documents, on the agent wire,
 * in the CLI's exit message and in events. Do not change or reuse a code; messages may change.
 *
 * `status` is the HTTP status. `exit` is the CLI's exit class:
 * 2 the request is wrong · 3 not allowed · 4 not found · 5 conflict with the present state ·
 * 6 no capacity or quota · 7 image refused · 8 hardware or host · 9 service unavailable.
 */
export const faults = {
  INVALID_REQUEST: { status: 400, exit: 2, title: "The request is not valid" },
  UNKNOWN_ROUTE: { status: 404, exit: 2, title: "No such route" },
  BODY_TOO_LARGE: { status: 413, exit: 2, title: "The request body is too large" },
  IDEMPOTENCY_MISMATCH: {
    status: 422,
    exit: 2,
    title: "This idempotency key was used with another request",
  },
  UNKNOWN_MESSAGE: { status: 400, exit: 2, title: "Unknown message type" },
  INVALID_MESSAGE: { status: 400, exit: 2, title: "The message does not match the wire schema" },
  MESSAGE_TOO_LARGE: { status: 413, exit: 2, title: "The message is larger than 32 KB" },
  UNSUPPORTED_PROTOCOL: { status: 426, exit: 2, title: "This protocol version is not spoken here" },

  UNAUTHENTICATED: { status: 401, exit: 3, title: "Who are you?" },
  FORBIDDEN: { status: 403, exit: 3, title: "Your roles do not allow this" },
  JOIN_TOKEN_INVALID: { status: 401, exit: 3, title: "Unknown join token" },
  JOIN_TOKEN_EXPIRED: { status: 401, exit: 3, title: "The join token has expired" },
  JOIN_TOKEN_USED: { status: 409, exit: 3, title: "The join token was used before" },
  HOST_REVOKED: { status: 403, exit: 3, title: "The host's identity was revoked" },
  HOST_IDENTITY_CONFLICT: {
    status: 403,
    exit: 3,
    title: "Two machines use the identity of one host",
  },
  SUPERSEDED: { status: 409, exit: 3, title: "A newer session of this host is open" },
  PERMIT_INVALID: { status: 403, exit: 3, title: "The permit is not valid for this handle now" },

  NOT_FOUND: { status: 404, exit: 4, title: "Not found" },
  UNKNOWN_HOST: { status: 404, exit: 4, title: "No such host" },
  UNKNOWN_DEVICE: { status: 404, exit: 4, title: "No such device" },
  UNKNOWN_DEPLOYABLE: { status: 404, exit: 4, title: "No such deployable" },
  UNKNOWN_CLAIM: { status: 404, exit: 4, title: "No such claim" },
  UNKNOWN_IMAGE: { status: 404, exit: 4, title: "No such image" },
  UNKNOWN_TYPE: { status: 404, exit: 4, title: "No active image of this type" },
  UNKNOWN_TRAIT: { status: 404, exit: 4, title: "No deployable has this trait" },
  UNKNOWN_RESOURCE_CLASS: {
    status: 404,
    exit: 4,
    title: "No deployable has this resource class",
  },
  UNKNOWN_PROFILE: { status: 404, exit: 4, title: "No such profile" },
  UNKNOWN_KEY: { status: 404, exit: 4, title: "No such signing key" },
  UNKNOWN_OPERATION: { status: 404, exit: 4, title: "No such operation" },

  NAME_TAKEN: { status: 409, exit: 5, title: "The name is in use" },
  WRONG_STATE: { status: 409, exit: 5, title: "Not possible in the present state" },
  IN_USE: { status: 409, exit: 5, title: "In use" },
  STALE_FENCE: { status: 409, exit: 5, title: "The fence is older than the newest one seen" },
  CONFLICT: { status: 409, exit: 5, title: "Changed by someone else meanwhile" },

  NO_CAPACITY: { status: 409, exit: 6, title: "No deployable can satisfy this claim now" },
  OVER_QUOTA: { status: 403, exit: 6, title: "Over quota" },

  IMAGE_TRUNCATED: { status: 422, exit: 7, title: "The image ends before its header says" },
  IMAGE_TOO_LARGE: { status: 422, exit: 7, title: "The image is larger than allowed" },
  IMAGE_FORMAT_UNKNOWN: { status: 422, exit: 7, title: "Not a known image format" },
  IMAGE_HEADER_INVALID: { status: 422, exit: 7, title: "The image header is not valid" },
  IMAGE_METADATA_MISMATCH: {
    status: 422,
    exit: 7,
    title: "The metadata contradicts the image header",
  },
  IMAGE_NAME_INVALID: { status: 422, exit: 7, title: "The object's name is not allowed" },
  IMAGE_CORRUPT: { status: 422, exit: 7, title: "The digest does not match the bytes" },
  IMAGE_REPLACED: { status: 409, exit: 7, title: "The object was replaced during verification" },
  IMAGE_INCOMPATIBLE: { status: 409, exit: 7, title: "The image does not fit this region" },
  IMAGE_NOT_ACTIVE: { status: 409, exit: 7, title: "The image is not active" },
  IMAGE_UNJUDGED: { status: 503, exit: 7, title: "The image could not be judged" },
  SIGNATURE_REQUIRED: { status: 422, exit: 7, title: "The policy asks for a signed image" },
  SIGNATURE_INVALID: { status: 422, exit: 7, title: "The signature does not verify" },
  SIGNATURE_EXPIRED: { status: 422, exit: 7, title: "The signature has expired" },
  KEY_REVOKED: { status: 422, exit: 7, title: "The signing key was revoked" },

  HOST_OFFLINE: { status: 409, exit: 8, title: "The host is not connected" },
  PROGRAM_FAILED: { status: 502, exit: 8, title: "Programming failed" },
  PROGRAM_TIMEOUT: { status: 504, exit: 8, title: "The hardware did not answer in time" },
  READ_BACK_MISMATCH: { status: 502, exit: 8, title: "The card reports another image" },
  CARD_GONE: { status: 502, exit: 8, title: "The card vanished" },
  CARD_DEGRADED: { status: 502, exit: 8, title: "The card needs recovery" },
  CARD_STUCK: { status: 502, exit: 8, title: "A hardware operation did not end" },
  SCRUB_FAILED: { status: 502, exit: 8, title: "Scrubbing failed" },
  PLUG_FAILED: { status: 502, exit: 8, title: "Plugging failed" },
  UNPLUG_FAILED: { status: 502, exit: 8, title: "Unplugging failed" },
  GROUP_NOT_VIABLE: { status: 409, exit: 8, title: "The IOMMU group cannot be attached" },
  NO_IOMMU: { status: 409, exit: 8, title: "The host has no IOMMU" },
  DISK_FULL: { status: 507, exit: 8, title: "No space left on the host" },
  DOWNLOAD_FAILED: { status: 502, exit: 8, title: "The image could not be fetched" },
  JOURNAL_UNREADABLE: { status: 500, exit: 8, title: "The agent's journal is damaged" },

  BIND_DEADLINE: { status: 504, exit: 9, title: "Binding did not end before its deadline" },
  TABLE_UNAVAILABLE: { status: 503, exit: 9, title: "The state table did not answer" },
  TRY_AGAIN: { status: 503, exit: 9, title: "Too many changes at once, try again" },
  OPENSTACK_UNAVAILABLE: {
    status: 503,
    exit: 9,
    title: "A service of the OpenStack cloud did not answer",
  },
  INTERNAL: { status: 500, exit: 9, title: "Unexpected error" },
} as const satisfies Record<string, FaultKind>;

/** What a code means to an HTTP caller (`status`) and to a shell (`exit`). */
export interface FaultKind {
  readonly status: number;
  readonly exit: number;
  readonly title: string;
}

export type FaultCode = keyof typeof faults;

/** Facts that help the caller; `field` is a dotted path into the request, such as `groups.0.count`. */
export interface FaultDetail {
  readonly field?: string;
  readonly expected?: string;
  readonly retryAfterSeconds?: number;
  readonly [fact: string]: unknown;
}

/** An expected failure with a stable code. Anything else that is thrown is a defect. */
export class Fault extends Error {
  readonly code: FaultCode;
  readonly detail: FaultDetail;

  constructor(code: FaultCode, message?: string, detail: FaultDetail = {}, options?: ErrorOptions) {
    super(message ?? faults[code].title, options);
    this.name = "Fault";
    this.code = code;
    this.detail = detail;
  }
}

/** Narrows an unknown error to a Fault, optionally of one code. */
export function isFault(error: unknown, code?: FaultCode): error is Fault {
  return error instanceof Fault && (code === undefined || error.code === code);
}

/** True when `value` is a code of the table; used where codes arrive from outside. */
export function isFaultCode(value: unknown): value is FaultCode {
  return typeof value === "string" && Object.hasOwn(faults, value);
}
