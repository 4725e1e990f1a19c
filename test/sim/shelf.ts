import type { Visibility } from "#domain/image";
import type { StockImage } from "./images.ts";

/** What becomes of a bitstream on its way to the bucket. */
export type Fate = "good" | "torn" | "mislabelled" | "untyped";
export type Verdict = "active" | "rejected";

/** An image that somebody uploaded in the run, as whoever made it knows it. */
export interface Upload extends StockImage {
  readonly version: string;
  readonly fate: Fate;
  /** Its tags were set as they should be, after it was put. */
  isCorrected: boolean;
}

/** The images of a run, whatever the table says of them: those of the beginning and those uploaded. */
export class Shelf {
  readonly #all: StockImage[];
  readonly #byId = new Map<string, StockImage>();
  readonly #uploads: Upload[] = [];
  readonly #owners = new Map<string, string>();

  constructor(stock: readonly StockImage[]) {
    this.#all = [];
    for (const image of stock) this.#take(image);
  }

  get all(): readonly StockImage[] {
    return this.#all;
  }

  get uploads(): readonly Upload[] {
    return this.#uploads;
  }

  /** Whose private logic a card has when it answers with a function; by function. */
  get owners(): ReadonlyMap<string, string> {
    return this.#owners;
  }

  /** Those a project may use. */
  visibleTo(project: string): readonly StockImage[] {
    return this.#all.filter(({ row }) => !isPrivate(row) || row.project === project);
  }

  find(id: string): StockImage | undefined {
    return this.#byId.get(id);
  }

  /** True when an image may be judged like this; what was there before is active. */
  mayBe(id: string, verdict: Verdict): boolean {
    if (!this.#byId.has(id)) return false;
    const upload = this.#uploads.find(({ row }) => row.id === id);
    return upload === undefined ? verdict === "active" : verdictsOf(upload).includes(verdict);
  }

  add(upload: Upload): void {
    this.#uploads.push(upload);
    this.#take(upload);
  }

  #take(image: StockImage): void {
    const { row } = image;
    this.#all.push(image);
    this.#byId.set(row.id, image);
    if (isPrivate(row)) this.#owners.set(row.functionId, row.project);
  }
}

/** A judgement goes by what the tags say at its moment, so it may depend on when that was. */
function verdictsOf({ fate, isCorrected }: Upload): readonly Verdict[] {
  if (fate === "torn") return ["rejected"];
  if (fate === "mislabelled") return isCorrected ? ["active", "rejected"] : ["rejected"];
  return ["active"];
}

const isPrivate = ({ visibility }: { readonly visibility: Visibility }) => visibility === "private";
