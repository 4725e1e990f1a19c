import { Buffer } from "node:buffer";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { checkObjectKey, manifestKeyOf } from "#protocol/images/names";
import { expectFault, faultOf } from "./handmade.ts";

describe("an upload's key", () => {
  test.each([
    ["images/demo/crypto.gbs", "demo", "crypto.gbs"],
    [
      "images/5f1c0e2b9d7a4c3e8b6f/2026/aes 256.xclbin",
      "5f1c0e2b9d7a4c3e8b6f",
      "2026/aes 256.xclbin",
    ],
    ["images/p/für-größe.gbs", "p", "für-größe.gbs"],
    ["images/p/.hidden", "p", ".hidden"],
    ["images/p/..gbs", "p", "..gbs"],
    ["images/p/100%.gbs", "p", "100%.gbs"],
    ["images/p/link -> target", "p", "link -> target"],
    ["images/p/$(reboot)", "p", "$(reboot)"],
  ])("%s is taken", (key, project, name) => {
    expect(checkObjectKey(key)).toEqual({ project, name });
  });

  test.each([
    [""],
    ["images"],
    ["images/"],
    ["images/p"],
    ["images/p/"],
    ["images//x.gbs"],
    ["images/p//x.gbs"],
    ["images/p/x/"],
    ["/images/p/x.gbs"],
    ["image/p/x.gbs"],
    ["Images/p/x.gbs"],
    ["images/../x.gbs"],
    ["images/./x.gbs"],
    ["images/-p/x.gbs"],
    ["images/p q/x.gbs"],
    ["images/p/../q/x.gbs"],
    ["images/p/.."],
    ["images/p/./x.gbs"],
    ["images/p/a\\b.gbs"],
    ["images/p/..\\..\\x"],
    ["images/p/-rf"],
    ["images/p/a/-x"],
    ["images/p/x\0.gbs"],
    ["images/p/x\n.gbs"],
    ["images/p/\u001b[2Jx"],
    ["images/p/x\u007f"],
    ["images/p/x\u0085"],
    ["images/p/a\u202egpj.gbs"],
    ["images/p/a\u200bb.gbs"],
    ["images/p/a\u2028b.gbs"],
    ["images/p/a\u00a0b.gbs"],
    ["images/p/\ud800x.gbs"],
    ["images/p/ x.gbs"],
    ["images/p/x.gbs "],
    ["images/p/%2e%2e%2fx.gbs"],
    ["images/p/x%00.gbs"],
    ["images/p/.manifest.json"],
    ["images/p/a/.manifest.json"],
    ["images/p/x.manifest.json.manifest.json"],
    [`images/${"p".repeat(65)}/x.gbs`],
  ])("%j is refused", (key) => {
    expectFault(() => checkObjectKey(key), "IMAGE_NAME_INVALID", "key");
  });

  test("has at most 1024 bytes, counted in UTF-8", () => {
    const fits = `images/p/${"x".repeat(1015)}`;
    expect(checkObjectKey(fits).name).toHaveLength(1015);
    expectFault(() => checkObjectKey(`${fits}x`), "IMAGE_NAME_INVALID");
    expectFault(() => checkObjectKey(`images/p/${"ü".repeat(508)}`), "IMAGE_NAME_INVALID");
  });

  test("that ends in .manifest.json belongs to the image before it", () => {
    const image = "images/demo/a/crypto.gbs";
    expect(checkObjectKey(manifestKeyOf(image))).toEqual({
      project: "demo",
      name: "a/crypto.gbs.manifest.json",
      manifestFor: image,
    });
    expect(checkObjectKey("images/p/x.MANIFEST.JSON")).not.toHaveProperty("manifestFor");
  });

  test("either is refused or can never leave its project", () => {
    const codeUnit = fc.nat(0xffff).map((unit) => String.fromCharCode(unit));
    const piece = fc.oneof(
      fc.constantFrom("/", "..", ".", "\\", "%2e", "-", " ", "\0", ".manifest.json"),
      fc.string({ unit: codeUnit, maxLength: 4 }),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
        const key = `images/p/${pieces.join("")}`;
        const fault = faultOf(() => {
          const { project, name } = checkObjectKey(key);
          expect(`images/${project}/${name}`).toBe(key);
          expect(new URL(encodeURI(key), "file:///").pathname).toBe(`/${encodeURI(key)}`);
          expect(Buffer.from(key).toString()).toBe(key);
        });
        if (fault) expect(fault.code).toBe("IMAGE_NAME_INVALID");
      }),
      { numRuns: 500 },
    );
  });
});
