import type { S3Request } from "./request.ts";
import type { Version } from "./versions.ts";

/** The account id that events and owners name; LocalStack's and AWS's documentation use the same. */
export const account = "000000000000";

/** What happened, as S3 names it in events of EventBridge. */
type BucketEventType =
  | "Object Created"
  | "Object Deleted"
  | "Object Tags Added"
  | "Object Tags Deleted";

/** An S3 event as EventBridge delivers it (S3 user guide, "EventBridge event message structure"). Keys are plain. */
export interface BucketEvent {
  readonly version: "0";
  readonly id: string;
  readonly "detail-type": BucketEventType;
  readonly source: "aws.s3";
  readonly account: string;
  /** ISO time without fractions. */
  readonly time: string;
  readonly region: string;
  readonly resources: readonly string[];
  readonly detail: {
    readonly version: "0";
    readonly bucket: { readonly name: string };
    readonly object: {
      readonly key: string;
      readonly size?: number;
      readonly etag?: string;
      readonly "version-id": string;
      readonly sequencer?: string;
    };
    readonly "request-id": string;
    readonly requester: string;
    readonly "source-ip-address": string;
    readonly reason?: "PutObject" | "CopyObject" | "CompleteMultipartUpload" | "DeleteObject";
    readonly "deletion-type"?: "Permanently Deleted" | "Delete Marker Created";
  };
}

/** What an event says besides the version it is about. */
export interface Occasion {
  readonly type: BucketEventType;
  readonly request: S3Request;
  readonly reason?: BucketEvent["detail"]["reason"];
  readonly deletion?: BucketEvent["detail"]["deletion-type"];
}

/** Builds the event for a version. `id`, `now` and `region` come from the store. */
export function bucketEvent(
  version: Version,
  { type, request, reason, deletion }: Occasion,
  from: { readonly id: string; readonly now: Date; readonly region: string },
): BucketEvent {
  return {
    version: "0",
    id: from.id,
    "detail-type": type,
    source: "aws.s3",
    account,
    time: from.now.toISOString().replace(/\.\d+Z$/, "Z"),
    region: from.region,
    resources: [`arn:aws:s3:::${version.bucket}`],
    detail: {
      version: "0",
      bucket: { name: version.bucket },
      object: objectOf(version, type),
      "request-id": request.id,
      requester: account,
      "source-ip-address": request.address,
      ...(reason === undefined ? {} : { reason }),
      ...(deletion === undefined ? {} : { "deletion-type": deletion }),
    },
  };
}

function objectOf(version: Version, type: BucketEventType): BucketEvent["detail"]["object"] {
  const { key, entry } = version;
  const tagged = type === "Object Tags Added" || type === "Object Tags Deleted";
  return {
    key,
    ...(entry.kind === "object" && type === "Object Created" ? { size: entry.size } : {}),
    ...(entry.kind === "object" ? { etag: entry.etag } : {}),
    "version-id": version.version,
    ...(tagged ? {} : { sequencer: sequencerOf(version.sequence) }),
  };
}

/** S3's sequencers are hexadecimal and compare as text once of equal length. */
function sequencerOf(sequence: number): string {
  return sequence.toString(16).toUpperCase().padStart(16, "0");
}
