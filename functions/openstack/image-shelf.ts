import type { Image } from "#domain/image";
import { allImages } from "#store/images";
import type { Store } from "#store/store";

/** A look at images that finds nothing to write may be this old. */
const recentMs = 5_000;

/** All images of the installation, read once for many hosts. */
export class ImageShelf {
  readonly #store: Store;
  #known: { readonly at: number; readonly images: Promise<readonly Image[]> } | undefined;
  #next: Promise<readonly Image[]> | undefined;

  constructor(store: Store) {
    this.#store = store;
  }

  /** Images as they were a moment ago: enough to see that nothing has to be done. */
  async recent(): Promise<readonly Image[]> {
    const known = this.#known;
    if (known === undefined || known.at + recentMs <= this.#store.now()) return await this.fresh();
    return await known.images;
  }

  /**
   * Images as they are now. A read that began before this call would not do; all callers that come
   * while one is running share the one after it.
   */
  async fresh(): Promise<readonly Image[]> {
    this.#next ??= this.#after(this.#known?.images);
    return await this.#next;
  }

  async #after(running: Promise<unknown> | undefined): Promise<readonly Image[]> {
    await Promise.allSettled([running]);
    this.#next = undefined;
    const images = allImages(this.#store, () => true);
    this.#known = { at: this.#store.now(), images };
    try {
      return await images;
    } catch (error) {
      this.#known = undefined;
      throw error;
    }
  }
}
