import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Deployable, heldHandles, lostReason } from "#domain/deployable";
import type { Image } from "#domain/image";
import { handleCount, isCounted } from "#domain/inventory";
import type { Provider, Shape } from "#domain/providers/provider";
import { providersOf } from "#domain/providers/providers";
import { hardwareTraits, isTraitName, resourceClassOf } from "#domain/traits";
import { deployable, handle, held, image, uuid } from "../builders.ts";

const shapes = fc.constantFrom<Shape[]>("pool", "tree", "cyborg");
const images = [
  image({ id: uuid(300), type: "crypto" }),
  image({ id: uuid(301), type: "gzip", interfaceId: "region-b", visibility: "shared" }),
  image({ id: uuid(302), type: "dpi", interfaceId: undefined, vendor: "xilinx" }),
];
const imageId = fc.option(fc.constantFrom(...images.map(({ id }) => id), uuid(309)), {
  nil: undefined,
});

const state = fc.constantFrom("free", "held", "releasing", "lost");
const kind = fc.constantFrom("FPGA", "NIC", "GPU", "QAT", "SSD");

/** A card at a place of its own: its facts are drawn, what follows from them is derived. */
const card = fc.record({
  kind,
  vendor: fc.constantFrom("intel", "xilinx", "inspur"),
  product: fc.constantFrom("pac-n3000", "pac-a10-gx", "8086-0b30"),
  layout: fc.constantFrom("whole", "regions", "pf", "vfs"),
  interfaceId: fc.option(fc.constantFrom("region-a", "region-b"), { nil: undefined }),
  sharing: fc.constantFrom("none", "project", "any"),
  present: fc.boolean(),
  hostOnline: fc.boolean(),
  enabled: fc.boolean(),
  clean: fc.boolean(),
  scrubMethod: fc.constantFrom("erase", "reset", undefined),
  health: fc.constantFrom("ok", "degraded", "stuck"),
  generation: fc.constantFrom(5, 6),
  cardOperation: fc.constantFrom(undefined, uuid(400)),
  loadedImage: imageId,
  wantedImage: imageId,
  states: fc.array(state, { minLength: 1, maxLength: 4 }),
});
type Card = typeof card extends fc.Arbitrary<infer Facts> ? Facts : never;

function handlesOf({ states, layout, sharing }: Card, at: number): Deployable["handles"] {
  const bus = at.toString(16).padStart(2, "0");
  const type = layout === "vfs" ? "VF" : "PF";
  const drawn = states.map((one, index) => {
    const facts = { type, address: `0000:${bus}:00.${index}` } as const;
    if (one === "held" && (sharing !== "none" || index === 0)) {
      return [`h${index}`, held(`c${at}-${index}`, facts)];
    }
    if (one === "lost") {
      return [`h${index}`, handle({ ...facts, attachable: false, reason: lostReason })];
    }
    const isFree = one === "free";
    return [`h${index}`, handle({ ...facts, state: isFree ? "free" : "releasing" })];
  });
  return Object.fromEntries(drawn) as Deployable["handles"];
}

function built(facts: Card, at: number): Deployable {
  const { health, generation, loadedImage, wantedImage, states: _states, ...rest } = facts;
  const { vendor, layout, product, interfaceId } = facts;
  const wished = images.find(({ id }) => id === wantedImage);
  const hardware = { kind: facts.kind, vendor, product, interfaceId };
  return deployable({
    ...rest,
    id: uuid(at),
    device: uuid(1000 + at),
    address: `0000:${at.toString(16).padStart(2, "0")}:00.0`,
    handles: handlesOf(facts, at),
    health: { state: health },
    imageGeneration: generation,
    traits: hardwareTraits(hardware),
    resourceClass: resourceClassOf({ ...hardware, handleType: layout === "vfs" ? "VF" : "PF" }),
    loaded: { functionId: loadedImage === undefined ? null : "f-1", imageId: loadedImage },
    loadedType: loadedImage === undefined ? undefined : "crypto",
    wish: wished === undefined ? {} : { image: { ...wished, keep: true } },
  });
}

const hosts = fc.array(card, { maxLength: 8 }).map((cards) => cards.map(built));
const run = (shape: Shape, deployables: readonly Deployable[], known: readonly Image[] = images) =>
  providersOf(shape, "n", deployables, known);
const sum = (providers: readonly Provider[], of: (one: Provider) => number) =>
  providers.reduce((all, one) => all + of(one), 0);

describe("the providers of any host, in any shape,", () => {
  it("reserve and hold no more than there is, and show names Placement takes", () => {
    fc.assert(
      fc.property(shapes, hosts, (shape, deployables) => {
        for (const { inventory, held: used, traits } of run(shape, deployables)) {
          expect(inventory.total).toBeGreaterThanOrEqual(1);
          expect(inventory.max_unit).toBe(inventory.total);
          expect(inventory.reserved).toBeGreaterThanOrEqual(0);
          expect(inventory.reserved + used).toBeLessThanOrEqual(inventory.total);
          expect(traits.filter((name) => !isTraitName(name))).toEqual([]);
          expect(new Set(traits).size).toBe(traits.length);
        }
      }),
    );
  });

  it("count every unit once and hold what claims hold", () => {
    fc.assert(
      fc.property(shapes, hosts, (shape, deployables) => {
        const providers = run(shape, deployables);
        const counted = deployables.filter(isCounted);
        const units = counted.reduce((all, one) => all + handleCount(one), 0);
        const claims = counted.reduce((all, one) => all + heldHandles(one).length, 0);
        expect(sum(providers, ({ inventory }) => inventory.total)).toBe(units);
        expect(sum(providers, (one) => one.held)).toBe(claims);
      }),
    );
  });

  it("have names of their own, which do not depend on what else the host has", () => {
    fc.assert(
      fc.property(shapes, hosts, (shape, deployables) => {
        const names = run(shape, deployables).map(({ name }) => name);
        expect(new Set(names).size).toBe(names.length);
        const alone = deployables.flatMap((one) => run(shape, [one]).map(({ name }) => name));
        expect([...new Set(alone)].toSorted()).toEqual(names.toSorted());
      }),
    );
  });

  it("are the same whatever the order they are listed in", () => {
    const shuffled = hosts.chain((deployables) =>
      fc.tuple(
        fc.constant(deployables),
        fc.shuffledSubarray(deployables, {
          minLength: deployables.length,
          maxLength: deployables.length,
        }),
      ),
    );
    fc.assert(
      fc.property(shapes, shuffled, (shape, [one, other]) => {
        expect(run(shape, other)).toEqual(run(shape, one));
      }),
    );
  });

  it("show nothing of a private image, neither loadable nor loaded nor wanted", () => {
    fc.assert(
      fc.property(shapes, hosts, (shape, deployables) => {
        const secret = images.map((one) => ({ ...one, visibility: "private" as const }));
        const blank = deployables.map((one) => ({
          ...one,
          wish: {},
          ...(images.some(({ id }) => id === one.loaded.imageId)
            ? { loaded: { functionId: null }, loadedType: undefined }
            : {}),
        }));
        expect(run(shape, deployables, secret)).toEqual(run(shape, blank, []));
      }),
    );
  });
});
