import type { SimBucket } from "../bucket.ts";
import type { Cloud } from "../cloud.ts";
import type { History } from "../history.ts";
import type { Judge } from "../judge.ts";
import type { Streams } from "../random.ts";
import type { Shelf } from "../shelf.ts";
import type { Time } from "../time.ts";

/** What clients work with. */
export interface ClientParts {
  readonly time: Time;
  readonly streams: Streams;
  readonly cloud: Cloud;
  readonly judge: Judge;
  readonly history: History;
  readonly shelf: Shelf;
  readonly bucket: SimBucket;
  readonly hosts: readonly { readonly id: string; readonly name: string }[];
  readonly log: (what: string) => void;
}
