import type { Visibility } from "#domain/image";
import { uuidOf } from "#protocol/uuid";
import { formats, projects, stockImage } from "../images.ts";
import type { Op } from "../ops.ts";
import type { Random } from "../random.ts";
import type { Fate, Upload } from "../shelf.ts";
import type { ClientParts } from "./parts.ts";

/** Most are as they should be. */
const fates: readonly Fate[] = ["good", "good", "good", "good", "torn", "mislabelled", "untyped"];
const visibilities: readonly Visibility[] = ["private", "shared", "public"];
/** Keys of each project: an upload may replace what another is about to be judged by. */
const keys = 4;
/** Bytes that are left of a torn upload: less than any header has. */
const tornBytes = 24;

/** Developers: they put bitstreams into the bucket, good ones and others, and set their tags. */
export class Developers {
  readonly #parts: ClientParts;

  constructor(parts: ClientParts) {
    this.#parts = parts;
  }

  async upload({ id }: Op, random: Random): Promise<void> {
    const { bucket, shelf, log } = this.#parts;
    const [project, format, visibility] = [
      random.of(projects),
      random.of(formats),
      random.of(visibilities),
    ];
    const { row, bytes: whole } = stockImage(format, project, `logic-${id}`, visibility);
    const fate = random.of(fates);
    const bytes = fate === "torn" ? whole.subarray(0, tornBytes) : whole;
    const objectKey = `images/${project}/logic-${random.below(keys)}`;
    const vendor = fate === "mislabelled" ? "other" : row.vendor;
    const { type: _, ...untyped } = tagsOf({ ...row, vendor });
    const tags = fate === "untyped" ? untyped : { ...untyped, type: row.type };
    const version = bucket.put(objectKey, bytes, tags);
    const known = { ...row, id: uuidOf("image", objectKey, version), objectKey };
    shelf.add({ row: known, bytes, version, fate, isCorrected: false });
    log(`${project} puts ${objectKey} ${version}, ${fate}`);
  }

  /** Sets the tags of an upload as they should have been. */
  async tag(random: Random): Promise<void> {
    const { bucket, shelf, log } = this.#parts;
    if (shelf.uploads.length === 0) return;
    const upload: Upload = random.of(shelf.uploads);
    const { row, version } = upload;
    upload.isCorrected = true;
    log(`${row.project} tags ${row.objectKey} ${version}`);
    bucket.tag({ key: row.objectKey, version }, tagsOf(row));
  }
}

function tagsOf({ vendor, type, visibility }: Upload["row"]) {
  return { FPGA: "true", vendor, type, visibility };
}
