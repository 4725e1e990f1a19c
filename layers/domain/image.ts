import type { Trouble, WantedImage } from "./deployable.ts";
import type { GlanceSource, Registration } from "./glance-link.ts";
import type { OwedJudgement } from "./judgement.ts";
import type { ImageState } from "./lifecycle.ts";

export type Visibility = "private" | "shared" | "public";

/** A bitstream with its metadata (design §2). Digests are lower-case hex, size is bytes, times ms. */
export interface Image {
  readonly id: string;
  readonly project: string;
  readonly name: string;
  readonly vendor: string;
  readonly type: string;
  readonly visibility: Visibility;
  readonly state: ImageState;
  readonly reason?: Trouble | undefined;
  /** Where it was put; the pinned bytes are at `verified/<sha256>`. */
  readonly objectKey: string;
  readonly objectVersion?: string | undefined;
  readonly size?: number | undefined;
  readonly sha256?: string | undefined;
  readonly md5?: string | undefined;
  readonly expected?: { readonly sha256?: string; readonly md5?: string; readonly size?: number };
  readonly format?: "gbs" | "xclbin" | "afi" | "raw" | undefined;
  readonly interfaceId?: string | undefined;
  readonly functionId?: string | undefined;
  readonly verifiedKey?: string | undefined;
  readonly verifiedVersion?: string | undefined;
  readonly manifest?: SignedManifest | undefined;
  /** The judgement that is under way or owed; absent once there was one. */
  readonly judgement?: OwedJudgement | undefined;
  /** Set on an image that came from Glance; then its id is the one it has there. */
  readonly glance?: GlanceSource | undefined;
  /** Set on an image of ours that Glance is to know. */
  readonly registration?: Registration | undefined;
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly revision: number;
}

/** A signature over an image's facts; protocol/images/manifest.ts makes and checks it. */
export interface SignedManifest {
  readonly statement: { readonly [fact: string]: string | number };
  readonly keyId: string;
  readonly signature: string;
}

/** An image that can be programmed: every fact is known and verified. */
export type ActiveImage = Image & {
  readonly state: "active";
  readonly size: number;
  readonly sha256: string;
  readonly md5: string;
  readonly format: "gbs" | "xclbin" | "afi" | "raw";
  readonly functionId: string;
  readonly verifiedKey: string;
};

/** Narrows to an image that may be programmed. */
export function isActive(image: Image): image is ActiveImage {
  const { state, sha256, md5, size, format, functionId, verifiedKey } = image;
  const known = [sha256, md5, size, format, functionId, verifiedKey];
  return state === "active" && known.every((fact) => fact !== undefined);
}

/** The image as a deployable's wish names it; a private one does not stay loaded for the next tenant. */
export function wantedImage(image: ActiveImage): WantedImage {
  const { id, sha256, functionId, type, visibility } = image;
  return { id, sha256, functionId, type, keep: visibility !== "private" };
}

/** Who may see and claim an image: its project, or everyone when it is shared or public. */
export function isVisible(image: Image, project: string, isAdmin: boolean): boolean {
  return isAdmin || image.project === project || image.visibility !== "private";
}

/** A trusted signer. A revoked key verifies nothing, also not what it signed before. */
export interface SigningKey {
  readonly id: string;
  readonly name: string;
  /** SPKI PEM. */
  readonly publicKey: string;
  readonly revokedAt?: number | undefined;
  readonly createdAt: number;
}
