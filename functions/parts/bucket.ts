import type { Readable } from "node:stream";
import {
  CopyObjectCommand,
  GetObjectCommand,
  GetObjectTaggingCommand,
  HeadObjectCommand,
  NoSuchKey,
  NotFound,
  PutObjectCommand,
  S3Client,
  S3ServiceException,
} from "@aws-sdk/client-s3";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";
import { Fault } from "#domain/faults";
import type { Environment } from "../entry.ts";
import { clientConfig } from "./client.ts";
import { settingsFrom } from "./settings.ts";

/** One version of an object as it was put. */
export interface ObjectFacts {
  readonly size: number;
  readonly etag: string;
  readonly version?: string | undefined;
  readonly metadata: Readonly<Record<string, string>>;
  readonly tags: Readonly<Record<string, string>>;
}

/** The bucket port: what functions need of S3 and nothing more. */
export interface Bucket {
  /** Facts of the newest version, or of the one named; undefined when there is none. */
  facts(key: string, version?: string): Promise<ObjectFacts | undefined>;
  read(key: string, version?: string): Promise<Readable>;
  /** Copies one exact version; IMAGE_REPLACED when its etag is another by now. */
  pin(
    from: { readonly key: string; readonly version?: string | undefined; readonly etag: string },
    to: string,
  ): Promise<string | undefined>;
  presignGet(key: string, version: string | undefined, seconds: number): Promise<string>;
  presignPut(
    key: string,
    upload: { readonly sha256: string; readonly size: number; readonly tags: string },
    seconds: number,
  ): Promise<{ readonly url: string; readonly headers: Readonly<Record<string, string>> }>;
}

/** The image bucket of this installation. */
export function bucketFrom(environment: Environment): Bucket {
  return new S3Bucket(s3From(environment), settingsFrom(environment).bucket);
}

/** The client for that bucket. */
export function s3From(environment: Environment): S3Client {
  // WHEN_REQUIRED: else presigned uploads carry the checksum of an empty body (serverless.md §5).
  return new S3Client({
    ...clientConfig(environment, "S3"),
    forcePathStyle: environment["AWS_ENDPOINT_URL_S3"] !== undefined,
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
  });
}

class S3Bucket implements Bucket {
  readonly #client: S3Client;
  readonly #bucket: string;

  constructor(client: S3Client, bucket: string) {
    this.#client = client;
    this.#bucket = bucket;
  }

  #at(key: string, version: string | undefined) {
    const where = { Bucket: this.#bucket, Key: key };
    return version === undefined ? where : { ...where, VersionId: version };
  }

  async facts(key: string, version?: string): Promise<ObjectFacts | undefined> {
    try {
      const where = this.#at(key, version);
      const [head, tagging] = await Promise.all([
        this.#client.send(new HeadObjectCommand(where)),
        this.#client.send(new GetObjectTaggingCommand(where)),
      ]);
      return {
        size: head.ContentLength ?? 0,
        etag: head.ETag ?? "",
        version: head.VersionId,
        metadata: head.Metadata ?? {},
        tags: Object.fromEntries(
          (tagging.TagSet ?? []).map((tag) => [tag.Key ?? "", tag.Value ?? ""]),
        ),
      };
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  }

  async read(key: string, version?: string): Promise<Readable> {
    const answer = await this.#client.send(new GetObjectCommand(this.#at(key, version)));
    if (answer.Body === undefined) throw new Fault("DOWNLOAD_FAILED", `no body for ${key}`);
    return answer.Body as Readable;
  }

  async pin(
    from: { readonly key: string; readonly version?: string | undefined; readonly etag: string },
    to: string,
  ): Promise<string | undefined> {
    const source = `${this.#bucket}/${from.key.split("/").map(encodeURIComponent).join("/")}`;
    try {
      const copied = await this.#client.send(
        new CopyObjectCommand({
          Bucket: this.#bucket,
          Key: to,
          CopySource: from.version === undefined ? source : `${source}?versionId=${from.version}`,
          CopySourceIfMatch: from.etag,
          MetadataDirective: "REPLACE",
          TaggingDirective: "REPLACE",
        }),
      );
      return copied.VersionId;
    } catch (error) {
      if (error instanceof S3ServiceException && error.$metadata.httpStatusCode === 412) {
        throw new Fault("IMAGE_REPLACED", undefined, {}, { cause: error });
      }
      throw error;
    }
  }

  async presignGet(key: string, version: string | undefined, seconds: number): Promise<string> {
    const command = new GetObjectCommand(this.#at(key, version));
    return await getSignedUrl(this.#client, command, { expiresIn: seconds });
  }

  async presignPut(
    key: string,
    upload: { readonly sha256: string; readonly size: number; readonly tags: string },
    seconds: number,
  ): Promise<{ readonly url: string; readonly headers: Readonly<Record<string, string>> }> {
    const checksum = Buffer.from(upload.sha256, "hex").toString("base64");
    const command = new PutObjectCommand({
      Bucket: this.#bucket,
      Key: key,
      ContentLength: upload.size,
      ChecksumSHA256: checksum,
      Tagging: upload.tags,
    });
    const signed = ["x-amz-checksum-sha256", "x-amz-tagging", "content-length"];
    const url = await getSignedUrl(this.#client, command, {
      expiresIn: seconds,
      unhoistableHeaders: new Set(signed),
      signableHeaders: new Set([...signed, "host"]),
    });
    return {
      url,
      headers: {
        "content-length": String(upload.size),
        "x-amz-checksum-sha256": checksum,
        "x-amz-tagging": upload.tags,
      },
    };
  }
}

function isMissing(error: unknown): boolean {
  return (
    error instanceof NotFound ||
    error instanceof NoSuchKey ||
    (error instanceof S3ServiceException && error.$metadata.httpStatusCode === 404)
  );
}
