import { afterEach, describe, expect, test } from "vitest";
import type { CloudWish } from "./support/scripted-cloud.ts";
import { claimOf, makeWorld, type World } from "./support/world.ts";

let world: World;
afterEach(() => world.close());

const target = { hypervisor: "libvirt", domain: "guest" } as const;
type WishOf = (world: World) => CloudWish;

const scrubbed: WishOf = ({ port0 }) => ({
  deployable: port0,
  revision: 1,
  imageGeneration: 1,
  scrub: "erase",
  handles: { vf0: { fence: 0, plugged: false, clean: true } },
});
const programmed: WishOf = ({ port0, image }) => ({
  deployable: port0,
  revision: 2,
  imageGeneration: 2,
  image: image("aes"),
  handles: { vf0: { fence: 1, claim: claimOf("one"), plugged: false } },
});
const attached: WishOf = (on) => ({
  ...programmed(on),
  revision: 3,
  handles: { vf0: { fence: 1, claim: claimOf("one"), plugged: true, target } },
});
const replugged: WishOf = (on) => ({
  ...attached(on),
  revision: 4,
  imageGeneration: 3,
  image: on.image("sha"),
  replug: true,
});
const released: WishOf = ({ port0 }) => ({
  deployable: port0,
  revision: 5,
  imageGeneration: 4,
  scrub: "erase",
  handles: { vf0: { fence: 2, plugged: false, clean: true } },
});

interface Scenario {
  readonly before: readonly WishOf[];
  readonly wish: WishOf;
}
const scenarios: Readonly<Record<string, Scenario>> = {
  program: { before: [scrubbed], wish: programmed },
  attach: { before: [scrubbed, programmed], wish: attached },
  "program again while in a guest": {
    before: [scrubbed, programmed, attached],
    wish: replugged,
  },
  release: { before: [scrubbed, programmed, attached], wish: released },
};

/** The cloud has heard that the wish is met. */
function isMet({ report }: World, { imageGeneration, revision, handles }: CloudWish): boolean {
  const told = report();
  if (told?.phase !== "ready") return false;
  const wished = Object.entries(handles);
  return (
    told.imageGeneration === imageGeneration &&
    told.revision === revision &&
    wished.every(([name, { fence, plugged, clean }]) => {
      const { state, ...handle } = told.handles[name] ?? { fence: -1, state: "", clean: false };
      const isClean = clean !== true || (handle.clean && told.clean);
      return handle.fence === fence && (state === "plugged") === plugged && isClean;
    })
  );
}

async function bring(wish: CloudWish): Promise<void> {
  world.cloud.wish(wish);
  await world.time.until(() => isMet(world, wish), `revision ${wish.revision}`);
}

/**
 * Runs a scenario and kills the agent at its `fatal`th failpoint; the next agent finds the wish
 * `then`. Returns the failpoints that were passed.
 */
async function runKilledAt(
  scenario: Scenario,
  fatal: number,
  then: WishOf = scenario.wish,
): Promise<readonly string[]> {
  world = await makeWorld();
  const passed: string[] = [];
  let armed = false;
  const mortal = await world.startMortal({
    failpoint: (name) => {
      if (!armed) return;
      passed.push(name);
      if (passed.length === fatal) mortal.kill();
    },
  });
  await mortal.agent;
  await world.time.until(() => world.report() !== undefined, "first report");
  for (const wish of scenario.before) await bring(wish(world));
  armed = true;
  const wish = scenario.wish(world);
  world.cloud.wish(wish);
  await world.time.until(() => passed.length >= fatal || isMet(world, wish), "killed or met");
  if (passed.length < fatal) {
    await world.time.settle();
    mortal.kill();
  }
  const last = then(world);
  if (last.revision !== wish.revision) world.cloud.wish(last);
  await world.start();
  await world.time.until(() => isMet(world, last) && isQuiet(world), "met after the crash");
  return passed;
}

/** The new agent has told everything there is. */
function isQuiet({ cloud, report }: World): boolean {
  return report()?.epoch === cloud.epoch;
}

function expectWhole({ handles, imageGeneration, image }: CloudWish): void {
  const { cloud, port0, guests } = world;
  expect(cloud.violations).toEqual([]);
  const chain = [...(cloud.receipts.get(port0)?.values() ?? [])].map(({ body }) => body);
  expect(chain.map(({ number }) => number)).toEqual(chain.map((_, index) => index + 1));
  const kind = image === undefined ? "scrub" : "program";
  expect(chain.at(-1)).toMatchObject({ kind, imageGeneration });
  expectHardware(handles["vf0"]?.plugged === true);
  expect(guests.calls.filter((call) => call.startsWith("plug")).length).toBeLessThanOrEqual(4);
  expect(world.report()?.loaded.functionId).toBe(image?.functionId ?? null);
}

function expectHardware(plugged: boolean): void {
  const { functions, cards, holders } = world.kernel.snapshot();
  const vf = functions.find(({ role, vf: index }) => role === "vf" && index === 0);
  expect(vf?.driver).toBe(plugged ? "vfio-pci" : "dfl-pci");
  expect(Object.values(holders).flat()).toHaveLength(plugged ? 1 : 0);
  expect(cards[0]?.regions[0]?.running).toBeNull();
}

describe.each(Object.entries(scenarios))("%s", (_, scenario) => {
  test("converges after a kill at every failpoint, with no fence lower and no receipt lost", async () => {
    const passed = await runKilledAt(scenario, Number.POSITIVE_INFINITY);
    expectWhole(scenario.wish(world));
    await world.close();
    expect(passed.length).toBeGreaterThan(5);
    for (let fatal = 1; fatal <= passed.length; fatal++) {
      const reached = await runKilledAt(scenario, fatal);
      expect(reached.slice(0, fatal), `failpoint ${fatal}`).toEqual(passed.slice(0, fatal));
      expectWhole(scenario.wish(world));
      await world.close();
    }
  }, 120_000);

  test("also when the claim was released while the agent was down", async () => {
    // The release itself has this very case above.
    const passed =
      scenario.wish === released ? [] : await runKilledAt(scenario, Number.POSITIVE_INFINITY);
    await world.close();
    for (let fatal = 1; fatal <= passed.length; fatal++) {
      await runKilledAt(scenario, fatal, released);
      expectWhole(released(world));
      await world.close();
    }
  }, 120_000);
});
