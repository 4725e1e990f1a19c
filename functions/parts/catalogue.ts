import { Fault } from "#domain/faults";
import { type ActiveImage, type Image, isActive, isVisible } from "#domain/image";
import { allImages, readImage, requireActive } from "#store/images";
import type { Store } from "#store/store";

/** Facts of an active image never change; that it is still active is checked by each grant itself. */
const factsLiveMs = 60_000;
/** New images of a type are seen after this long at the latest. */
const typesLiveMs = 2_000;
const mostEntries = 1_000;

interface Entry<Value> {
  readonly value: Value;
  readonly until: number;
}

/** Who asks. */
export interface Viewer {
  readonly project: string;
  readonly isAdmin: boolean;
}

/** Active images by id and by type, remembered for a while so that a warm claim reads none. */
export class Catalogue {
  readonly #store: Store;
  readonly #byId = new Map<string, Entry<ActiveImage>>();
  #active: Entry<readonly ActiveImage[]> | undefined;

  constructor(store: Store) {
    this.#store = store;
  }

  /** The image if it is remembered: then a claim needs no round trip for it. */
  remembered(id: string, viewer: Viewer): ActiveImage | undefined {
    const entry = this.#byId.get(id);
    if (entry === undefined || entry.until <= this.#store.now()) return undefined;
    return isVisible(entry.value, viewer.project, viewer.isAdmin) ? entry.value : undefined;
  }

  /** True when resolving the request has to wait for a read. */
  mustRead(
    { image, type }: { readonly image?: string | undefined; readonly type?: string | undefined },
    viewer: Viewer,
  ): boolean {
    if (image !== undefined) return this.remembered(image, viewer) === undefined;
    return type !== undefined && (this.#active?.until ?? 0) <= this.#store.now();
  }

  /** What was remembered of an image that turned out to be active no more. */
  forget(image: { readonly id: string } | undefined): void {
    if (image === undefined) return;
    this.#byId.delete(image.id);
    this.#active = undefined;
  }

  /** An image that may be programmed. UNKNOWN_IMAGE, also when it is not visible; IMAGE_NOT_ACTIVE. */
  async get(id: string, viewer: Viewer): Promise<ActiveImage> {
    const known = this.remembered(id, viewer);
    if (known !== undefined) return known;
    const image = await readImage(this.#store, id);
    if (image === undefined || !isVisible(image, viewer.project, viewer.isAdmin)) {
      throw new Fault("UNKNOWN_IMAGE", `no image ${id}`, { field: "image" });
    }
    const active = requireActive(image);
    if (this.#byId.size >= mostEntries) this.#byId.clear();
    this.#byId.set(id, { value: active, until: this.#store.now() + factsLiveMs });
    return active;
  }

  /** Visible active images for which `wanted` holds, newest first. */
  async find(
    viewer: Viewer,
    wanted: (image: ActiveImage) => boolean,
  ): Promise<readonly ActiveImage[]> {
    const now = this.#store.now();
    if (this.#active === undefined || this.#active.until <= now) {
      const images: readonly Image[] = await allImages(this.#store, isActive);
      this.#active = { value: images.filter(isActive), until: now + typesLiveMs };
    }
    return this.#active.value
      .filter((image) => isVisible(image, viewer.project, viewer.isAdmin) && wanted(image))
      .toSorted((a, b) => b.createdAt - a.createdAt);
  }
}
