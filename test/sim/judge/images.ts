import { createHash } from "node:crypto";
import type { Image } from "#domain/image";
import type { Grounds } from "./grounds.ts";
import { short } from "./invariants.ts";

/** What an image is, once it was active. */
const facts = ["project", "sha256", "md5", "size", "format", "functionId", "interfaceId"] as const;

/** What an image may be after it was judged; only a signature brings back what was refused. */
const ends: Partial<Record<Image["state"], readonly Image["state"][]>> = {
  active: ["active", "rejected", "retired"],
  rejected: ["rejected", "retired"],
  retired: ["retired"],
};

/** Judges what a transaction does to an image, by what its maker knows and what the bucket has. */
export class ImageJudge {
  readonly #grounds: Grounds;

  constructor(grounds: Grounds) {
    this.#grounds = grounds;
  }

  /** An image's row as it was and is. */
  row(was: Image | undefined, is: Image | undefined): void {
    const { fail } = this.#grounds;
    const name = `image ${short((is ?? was)?.id ?? "")}`;
    if (is === undefined) {
      fail("verified", `${name} is gone`);
      return;
    }
    if (was !== undefined && ends[was.state]?.includes(is.state) === false) {
      fail("verified", `${name} was ${was.state} and is ${is.state}`);
    }
    if (is.state === "active") this.#active(is, name);
    if (is.state === "rejected" && was?.state !== "rejected") this.#rejected(is, name);
  }

  #active(is: Image, name: string): void {
    const { shelf, verified, fail } = this.#grounds;
    const truth = shelf.find(is.id);
    if (truth === undefined || !shelf.mayBe(is.id, "active")) {
      fail("verified", `${name} is active and should have been refused`);
      return;
    }
    const wrong = facts.filter((fact) => is[fact] !== truth.row[fact]);
    if (wrong.length > 0) fail("verified", `${name} is active with another ${wrong.join()}`);
    const copy = verified(truth.row.sha256);
    const digest = copy && createHash("sha256").update(copy).digest("hex");
    if (digest !== truth.row.sha256) fail("verified", `${name} is active without its copy`);
  }

  #rejected({ id, reason }: Image, name: string): void {
    const { shelf, fail } = this.#grounds;
    if (shelf.mayBe(id, "rejected")) return;
    fail("verified", `${name} is good and was refused: ${reason?.code}`);
  }
}
