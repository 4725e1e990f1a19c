import { type Deployable, heldHandles, isLost } from "#domain/deployable";
import type { Host } from "#domain/host";
import { type Image, isActive } from "#domain/image";
import { countOf, countOfHandle, isCompatible, isCounted } from "#domain/inventory";
import { sameContent } from "#domain/same";
import { valueOf } from "#store/rows";
import type { Item } from "#store/table";
import type { Change } from "../events/table-changed.ts";

/** Hosts whose providers may look different after these changes, each once. */
export function changedHosts(changes: readonly Change[]): readonly string[] {
  const hosts = changes.flatMap((change) => {
    const pair = rowsOf(change);
    if (pair === undefined) return [];
    const { type, before, after } = pair;
    if (type === "deployable" && !sameContent(viewOf(before), viewOf(after))) {
      return [valueOf<Deployable>(pair.row).host];
    }
    if (type === "host" && !sameContent(hostView(before), hostView(after))) {
      return [valueOf<Host>(pair.row).id];
    }
    return [];
  });
  return [...new Set(hosts)];
}

/** An image whose traits may show, or show no more. */
export interface ChangedImage {
  readonly before: Image | undefined;
  readonly after: Image | undefined;
}

/** Images that became visible or invisible, or became other images. */
export function changedImages(changes: readonly Change[]): readonly ChangedImage[] {
  return changes.flatMap((change) => {
    const pair = rowsOf(change);
    if (pair?.type !== "image") return [];
    const [before, after] = [pair.before, pair.after].map((item) =>
      item === undefined ? undefined : valueOf<Image>(item),
    );
    return sameContent(imageView(before), imageView(after)) ? [] : [{ before, after }];
  });
}

/** True when a deployable could be made into such an image, or is one. */
export function isConcerned(deployable: Deployable, { before, after }: ChangedImage): boolean {
  return [before, after].some(
    (image) =>
      image !== undefined &&
      (isCompatible(deployable, image) ||
        deployable.loaded.imageId === image.id ||
        deployable.wish.image?.id === image.id),
  );
}

function rowsOf({ before, after }: Change) {
  const row = after ?? before;
  return row === undefined ? undefined : { type: row["type"], row, before, after };
}

/** Everything of a deployable that the providers of any shape rest on. */
function viewOf(item: Item | undefined): unknown {
  if (item === undefined) return undefined;
  const one = valueOf<Deployable>(item);
  if (!isCounted(one)) return undefined;
  const { region, kind, vendor, product, layout, address, resourceClass, traits } = one;
  const { interfaceId, programmable, sharing, loaded, loadedType, wish, customTraits } = one;
  const isHeld = heldHandles(one).length > 0;
  const handles = Object.entries(one.handles).map(([name, handle]) => ({
    name,
    type: handle.type,
    address: handle.address,
    isLost: isLost(handle),
    count: countOfHandle(one, name),
  }));
  return {
    region,
    kind,
    vendor,
    product,
    layout,
    address,
    resourceClass,
    traits,
    sharing,
    interfaceId,
    programmable,
    customTraits,
    handles,
    present: one.present,
    device: one.device,
    count: countOf(one),
    shows: isHeld
      ? { image: wish.image?.id, type: wish.image?.type, functionId: wish.image?.functionId }
      : { image: loaded.imageId, functionId: loaded.functionId, type: loadedType },
  };
}

function hostView(item: Item | undefined): unknown {
  if (item === undefined) return undefined;
  const { name, state } = valueOf<Host>(item);
  return { name, isRemoved: state === "removed" };
}

function imageView(image: Image | undefined): unknown {
  if (image === undefined) return undefined;
  const { visibility, type, functionId, interfaceId, vendor } = image;
  // Its hiding matters also when it is retired but still loaded somewhere.
  const isHiding = visibility === "private" && functionId !== undefined;
  if (!isActive(image) && !isHiding) return undefined;
  return { isActive: isActive(image), visibility, type, functionId, interfaceId, vendor };
}
