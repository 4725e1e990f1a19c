import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  followGlance,
  type GlanceFacts,
  glanceDue,
  goneMs,
  imageFromGlance,
  isOnItsWay,
  lostInGlance,
  wishFor,
} from "#domain/glance";
import type { Image } from "#domain/image";
import type { GlanceImage } from "#openstack/glance";
import { factsOf } from "../../functions/glance/read.ts";
import { image as active } from "../domain/builders.ts";

const id = "11111111-2222-4333-8444-555555555555";

const there: GlanceImage = {
  id,
  name: "crypto",
  owner: "0d5f5d7c9e0b4f0fb6b3f3f1f0a1b2c3",
  status: "active",
  visibility: "private",
  tags: ["FPGA"],
  size: 1000,
  checksum: "cc".repeat(16),
  hash: { algorithm: "sha512", value: "ab".repeat(64) },
  updatedAt: 0,
  properties: { vendor: "Intel", type: "crypto" },
};

function facts(changes: Partial<GlanceImage> = {}): GlanceFacts {
  const found = factsOf({ ...there, ...changes });
  if (found === undefined) throw new Error("this is an image of Glance");
  return found;
}

const said = (properties: Readonly<Record<string, string>>) => facts({ properties });

/** An image of Glance that was judged well. */
const judged = (changes: Partial<Image> = {}): Image => ({
  ...imageFromGlance(facts(), 1),
  state: "active",
  format: "gbs",
  ...changes,
});

describe("what Glance says of an image", () => {
  test("is read in our words", () => {
    expect(facts()).toMatchObject({
      project: there.owner,
      vendor: "intel",
      visibility: "private",
      md5: there.checksum,
      hash: there.hash,
    });
    expect(facts({ visibility: "community" }).visibility).toBe("public");
    expect(facts({ visibility: "shared" }).visibility).toBe("private");
    expect(facts({ visibility: "else" }).visibility).toBe("private");
  });

  test("is nothing of ours when its id is no uuid", () => {
    expect(factsOf({ ...there, id: "../1" })).toBeUndefined();
  });

  test("names a project that fits into a key, whoever owns it", () => {
    expect(facts({ owner: undefined }).project).toBe("glance");
    expect(facts({ owner: "../other" }).project).toBe("glance");
  });

  test("has no name that steers a terminal, and no empty one", () => {
    expect(facts({ name: "a\u001b[2Jb\n" }).name).toBe("a[2Jb");
    expect(facts({ name: "" }).name).toBe(id);
  });

  test("takes words for vendor and type, not sentences", () => {
    expect(said({ vendor: "in tel", type: "a/b" })).toMatchObject({ vendor: "", type: "" });
  });

  test("passes over a shell that is no uuid and a manifest that is none", () => {
    const shell = "69528db6-eb31-577a-9926-ab6d6c925a68";
    expect(said({ shell_id: "u200" }).said.interfaceId).toBeUndefined();
    expect(said({ shell_id: shell.toUpperCase() }).said.interfaceId).toBe(shell);
    expect(said({ gatehouse_manifest: "{" }).manifest).toBeUndefined();
  });

  test.each(["queued", "saving", "importing", "killed", "pending_delete"])(
    "is withheld while it is %s",
    (status) => {
      expect(facts({ status }).withheld).toBe(`${status} in Glance`);
    },
  );
});

describe("following", () => {
  test("the same again changes nothing", () => {
    const image = judged();
    expect(followGlance(image, facts({ updatedAt: 99 }), 2)).toBe(image);
  });

  test("an image of ours is not read back, a retired one not revived", () => {
    const ours = active();
    expect(followGlance(ours, facts({ name: "x" }), 2)).toBe(ours);
    const retired = judged({ state: "retired" });
    expect(followGlance(retired, facts({ name: "x" }), 2)).toBe(retired);
    expect(lostInGlance(retired, 2)).toBe(retired);
    expect(lostInGlance(ours, 2)).toBe(ours);
  });

  test("an image that was refused for its bytes stays so when Glance switches it off and on", () => {
    const reason = { code: "IMAGE_CORRUPT" as const, message: "" };
    const refused = judged({ state: "rejected", reason });
    const off = followGlance(refused, facts({ status: "deactivated" }), 2);
    expect(off).toMatchObject({ state: "rejected", reason });
    expect(followGlance(off, facts(), 3)).toMatchObject({ state: "rejected", reason });
  });

  test("a signed type is not changed", () => {
    const statement = { vendor: "intel", type: "crypto" };
    const manifest = { statement, keyId: "k", signature: "s" };
    const changed = said({ vendor: "intel", type: "other" });
    expect(followGlance(judged({ manifest }), changed, 2).type).toBe("crypto");
    expect(followGlance(judged(), changed, 2).type).toBe("other");
    expect(followGlance(judged(), said({ vendor: "intel" }), 2).type).toBe("crypto");
  });

  test("what was being judged is judged again by the clock when it changed meanwhile", () => {
    const image = judged({ state: "verifying" });
    const after = followGlance(image, facts({ name: "x" }), 1000);
    expect(after).toMatchObject({ state: "verifying", name: "x" });
    expect(glanceDue(after)).toBe(121_000);
  });

  test("an image that is lost and found is judged again, one that stays lost is retired", () => {
    const lost = lostInGlance(judged(), 5);
    expect(lost).toMatchObject({ state: "rejected", glance: { missingSince: 5 } });
    expect(lostInGlance(lost, 5 + goneMs - 1)).toBe(lost);
    expect(lostInGlance(lost, 5 + goneMs).state).toBe("retired");
    expect(followGlance(lost, facts(), 6)).toMatchObject({ state: "pending", reason: undefined });
  });

  test("never revives a retired image and never makes one active by itself", () => {
    const step = fc.record({
      status: fc.constantFrom("active", "deactivated", "queued", "gone"),
      tags: fc.constantFrom(["FPGA"], []),
      properties: fc.dictionary(
        fc.constantFrom("vendor", "type"),
        fc.constantFrom("intel", "xilinx", "crypto", ""),
      ),
    });
    const states = ["pending", "verifying", "active", "rejected", "retired"] as const;
    fc.assert(
      fc.property(fc.constantFrom(...states), fc.array(step, { maxLength: 8 }), (state, steps) => {
        let image = judged({ state });
        for (const [at, { status, ...rest }] of steps.entries()) {
          const before = image;
          image =
            status === "gone"
              ? lostInGlance(image, at)
              : followGlance(image, facts({ status, ...rest }), at);
          if (before.state === "retired") expect(image).toBe(before);
          if (before.state !== "active") expect(image.state).not.toBe("active");
          if (image.state === "active") expect(["gone", "queued"]).not.toContain(status);
          expect(glanceDue(image) !== undefined).toBe(isOnItsWay(image));
        }
      }),
    );
  });
});

describe("what Glance is told of an image of ours", () => {
  const registration = { dueAt: 7, tries: 1 };
  test.each([
    ["active", "active"],
    ["rejected", "deactivated"],
    ["verifying", "deactivated"],
    ["retired", "deleted"],
  ] as const)("while it is %s: %s", (state, wish) => {
    expect(wishFor({ ...active(), state, registration })).toBe(wish);
  });

  test("nothing of one that was never to be known, or never tried", () => {
    expect(wishFor(active())).toBeUndefined();
    const untried = { ...registration, tries: 0 };
    expect(wishFor({ ...active(), state: "retired", registration: untried })).toBeUndefined();
  });

  test("nothing more once it was told, or Glance refused for good", () => {
    const owed = { ...active(), registration };
    expect(glanceDue(owed)).toBe(7);
    expect(
      glanceDue({ ...owed, registration: { ...registration, told: "active" } }),
    ).toBeUndefined();
    expect(
      glanceDue({ ...owed, registration: { ...registration, isRefused: true } }),
    ).toBeUndefined();
  });
});
