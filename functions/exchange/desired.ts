import type { Deployable, Handle } from "#domain/deployable";
import type { Image } from "#domain/image";
import { isActive } from "#domain/image";
import type { Desired, DesiredHandle } from "#protocol/wire/messages";
import type { ImageReference } from "#protocol/wire/shapes";
import { readImage } from "#store/images";
import type { Store } from "#store/store";
import type { Bucket } from "../parts/bucket.ts";

/** Presigned downloads live this long: enough to wait behind other work of the card. */
const downloadSeconds = 3600;

/** What building a wish for the wire needs. */
export interface Wishing {
  readonly store: Store;
  readonly bucket: Pick<Bucket, "presignGet">;
}

/** The whole wish for one deployable as the agent gets it; the image is named with a fresh URL. */
export async function desiredOf(
  { store, bucket }: Wishing,
  deployable: Deployable,
): Promise<Desired> {
  const { wish } = deployable;
  const image = wish.image === undefined ? undefined : await readImage(store, wish.image.id);
  const reference = image && (await referenceOf(bucket, image));
  return {
    type: "desired",
    deployable: deployable.id,
    revision: deployable.revision,
    imageGeneration: deployable.imageGeneration,
    ...(wish.scrub === undefined ? {} : { scrub: wish.scrub }),
    ...(reference === undefined ? {} : { image: reference }),
    ...(wish.force === undefined ? {} : { force: wish.force }),
    ...(wish.replug === undefined ? {} : { replug: wish.replug }),
    handles: Object.fromEntries(
      Object.entries(deployable.handles).map(([name, handle]) => [name, desiredHandle(handle)]),
    ),
  };
}

function desiredHandle(handle: Handle): DesiredHandle {
  const { fence, holder, plugged, target } = handle;
  return {
    fence,
    plugged,
    ...(holder === undefined
      ? {}
      : {
          claim: {
            id: holder.claim,
            project: holder.project,
            ...(holder.instance === undefined ? {} : { instance: holder.instance }),
          },
        }),
    ...(target === undefined ? {} : { target: { ...target } }),
    ...(handle.state === "releasing" ? { clean: true } : {}),
  };
}

/** An image that was retired or revoked meanwhile is not handed out any more. */
async function referenceOf(
  bucket: Pick<Bucket, "presignGet">,
  image: Image,
): Promise<ImageReference | undefined> {
  if (!isActive(image)) return undefined;
  const { id, size, sha256, md5, format, vendor, type, interfaceId, functionId } = image;
  const url = await bucket.presignGet(image.verifiedKey, image.verifiedVersion, downloadSeconds);
  return {
    id,
    url,
    size,
    sha256,
    md5,
    format,
    vendor,
    type,
    functionId,
    ...(interfaceId === undefined ? {} : { interfaceId }),
    ...(image.manifest === undefined ? {} : { manifest: { ...image.manifest } }),
  };
}

/** What of a row the agent works by; two rows with the same wish need no push. */
export function wishOf(deployable: Deployable): unknown {
  const { imageGeneration, wish, handles } = deployable;
  const wished = Object.entries(handles).map(([name, handle]) => [name, desiredHandle(handle)]);
  return { imageGeneration, wish, handles: Object.fromEntries(wished) };
}
