/** S3's error codes that this stand-in answers, with their HTTP status (S3 API reference, "Error responses"). */
const statuses = {
  AccessDenied: 403,
  AuthorizationHeaderMalformed: 400,
  AuthorizationQueryParametersError: 400,
  BadDigest: 400,
  BadRequest: 400,
  BucketAlreadyOwnedByYou: 409,
  BucketNotEmpty: 409,
  EntityTooLarge: 400,
  EntityTooSmall: 400,
  IncompleteBody: 400,
  InsufficientStorage: 507,
  InternalError: 500,
  InvalidAccessKeyId: 403,
  InvalidArgument: 400,
  InvalidBucketName: 400,
  InvalidDigest: 400,
  InvalidPart: 400,
  InvalidPartOrder: 400,
  InvalidRange: 416,
  InvalidRequest: 400,
  InvalidTag: 400,
  InvalidToken: 400,
  InvalidURI: 400,
  KeyTooLongError: 400,
  MalformedXML: 400,
  MetadataTooLarge: 400,
  MethodNotAllowed: 405,
  MissingContentLength: 411,
  NoSuchBucket: 404,
  NoSuchKey: 404,
  NoSuchUpload: 404,
  NoSuchVersion: 404,
  NotImplemented: 501,
  NotModified: 304,
  PreconditionFailed: 412,
  RequestTimeTooSkewed: 403,
  SignatureDoesNotMatch: 403,
  XAmzContentSHA256Mismatch: 400,
} as const satisfies Record<string, number>;

type S3ErrorCode = keyof typeof statuses;

/**
 * An answer S3 gives for a request it refuses. Not a Fault: its code goes to S3 clients, whose
 * vocabulary is fixed by S3 and not by our own table. `facts` become elements of the error
 * document, `headers` go with the answer.
 */
export class S3Error extends Error {
  readonly code: S3ErrorCode;
  readonly status: number;
  readonly facts: Readonly<Record<string, string>>;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    code: S3ErrorCode,
    message: string,
    more: { facts?: Record<string, string>; headers?: Record<string, string> } = {},
  ) {
    super(message);
    this.name = "S3Error";
    this.code = code;
    this.status = statuses[code];
    this.facts = more.facts ?? {};
    this.headers = more.headers ?? {};
  }
}

/** What an unknown failure means to the client; a full disk is told apart so that nobody retries in vain. */
export function toS3Error(error: unknown): S3Error {
  if (error instanceof S3Error) return error;
  if (isDiskFull(error))
    return new S3Error("InsufficientStorage", "No space left for this object.");
  return new S3Error("InternalError", "We encountered an internal error. Please try again.");
}

/** SQLITE_FULL is 13 (sqlite.org/rescode.html); EFBIG and EDQUOT are a full disk by rule. */
function isDiskFull(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const { code, errcode } = error as Error & { code?: unknown; errcode?: unknown };
  return code === "ENOSPC" || code === "EDQUOT" || code === "EFBIG" || errcode === 13;
}
