import { afterEach, beforeAll, expect, test } from "vitest";
import { cryptoGbs } from "../../localstack/tour/bitstreams.ts";
import { startGatehouse } from "./gatehouse.ts";
import { bootImage, serversOf } from "./servers.ts";
import { demo } from "./services/keystone.ts";
import { type SharedStack, sharedStack } from "./shared.ts";

const region = "69528db6-eb31-577a-9926-ab6d6c925a68";

let stack: SharedStack;
const closing: (() => Promise<void>)[] = [];

beforeAll(async () => {
  stack = await sharedStack();
});

afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

test.each([
  { shape: "tree", resourceClass: "CUSTOM_FPGA_INTEL_VF", trait: "CUSTOM_HW_INTEL" },
  { shape: "cyborg", resourceClass: "FPGA", trait: "CUSTOM_HW_INTEL" },
])(
  "Nova finds programmed cards in the shape $shape too",
  async (one) => {
    const { shape, resourceClass, trait } = one;
    const gatehouse = await startGatehouse(stack, { GATEHOUSE_PLACEMENT_SHAPE: shape });
    closing.push(gatehouse.close);
    await gatehouse.addHost(stack.where.computeName, { dfl: 2 });
    const image = await gatehouse.upload(cryptoGbs(region));
    await gatehouse.placed(resourceClass, 4);
    const flavor = await gatehouse.flavor({
      [`resources:${resourceClass}`]: "1",
      [`trait:${trait}`]: "required",
      "accel:bitstream_id": image.id,
    });
    // Nova keeps the catalog that came with a token: it finds this cloud with a new one only.
    const disk = await bootImage(stack, gatehouse.token);
    const servers = serversOf(stack, await stack.catalog.token(demo), disk);
    closing.push(servers.removeAll);
    const ids: string[] = [];
    // Nova tries one provider of a host only: asked at the same time, several would try the same.
    for (let count = 0; count < 4; count += 1) {
      const id = await servers.boot(flavor);
      await servers.settled(id, "ACTIVE");
      ids.push(id);
    }
    const all = await gatehouse.deployables();
    expect(all.map(({ loaded }) => loaded.functionId)).toEqual(all.map(() => image.functionId));
    expect((await gatehouse.arqs()).map(({ state }) => state)).toEqual(ids.map(() => "Bound"));
    await Promise.all(ids.map(servers.remove));
    expect(await gatehouse.arqs()).toEqual([]);
    await gatehouse.placed(resourceClass, 4);
    expect(gatehouse.failures).toEqual([]);
  },
  120_000,
);
