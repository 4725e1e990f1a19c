import { array, assert, asyncProperty, nat, uint8Array } from "fast-check";
import { expect, test } from "vitest";
import { frameLine, framesOf } from "../../../../agent/host/linux/frames.ts";

test("frames come out whole, however the bytes were cut", async () => {
  const payload = uint8Array({ maxLength: 300 });
  await assert(
    asyncProperty(array(payload, { maxLength: 6 }), array(nat(40)), async (all, cuts) => {
      const request = { verb: "read", path: "/x\n" } as const;
      const stream = Buffer.concat(
        all.flatMap((one) => [Buffer.from(frameLine({ request, bytes: one.length })), one]),
      );
      const seen = [];
      for await (const frame of framesOf(pieces(stream, cuts))) seen.push(frame);
      expect(seen.map((one) => [...one.payload])).toEqual(all.map((one) => [...one]));
      expect(seen.every((one) => one.request.verb === "read")).toBe(true);
    }),
  );
});

async function* pieces(bytes: Buffer, cuts: readonly number[]) {
  let at = 0;
  for (const cut of cuts) {
    yield bytes.subarray(at, at + cut);
    at += cut;
  }
  yield bytes.subarray(at);
}
