import { describe, expect, test } from "vitest";
import { deployableEvents } from "#domain/audit";
import type { Deployable } from "#domain/deployable";
import { isQuiet } from "#domain/quiet";
import { deployableRow, replaceDeployable } from "#store/deployables";
import type { Item } from "#store/table";
import { type Change, changedWish, newlyOffered } from "../../functions/events/table-changed.ts";
import { changedHosts } from "../../functions/openstack/placement-views.ts";
import { deployable, handle, held } from "../domain/builders.ts";

/** What may be different after a change, one thing at a time. */
const changes: { readonly [name: string]: Partial<Deployable> } = {
  phase: { phase: "verifying" },
  clean: { clean: false },
  reported: { reported: { epoch: 9, seq: 9 } },
  address: { address: "0000:af:00.0" },
  bootId: { bootId: "b0000000-0000-4000-8000-00000000000f" },
  cardOperation: { cardOperation: "an operation" },
  customTraits: { customTraits: [{ id: "a", key: "rack", value: "7", createdAt: 0 }] },
  driver: { driver: "opae" },
  enabled: { enabled: false },
  health: { health: { state: "degraded" } },
  hostOnline: { hostOnline: false },
  imageGeneration: { imageGeneration: 99 },
  interfaceId: { interfaceId: "region-z" },
  lastProject: { lastProject: "p9" },
  loaded: { loaded: { functionId: "f9", imageId: "i9" } },
  loadedType: { loadedType: "compression" },
  outcome: { outcome: { generation: 99, result: "failed" } },
  present: { present: false },
  resourceClass: { resourceClass: "FPGA" },
  scrubMethod: { scrubMethod: "reset" },
  sharing: { sharing: "project" },
  traits: { traits: ["CUSTOM_FPGA"] },
  wish: { wish: { scrub: "reset" } },
  fence: { handles: { pf: handle({ fence: 7 }) } },
  holder: { handles: { pf: held("c9") } },
  releasing: { handles: { pf: handle({ state: "releasing", fence: 3 }) } },
  plugged: { handles: { pf: handle({ plugged: true }) } },
  "one more handle": { handles: { pf: handle(), vf0: handle({ type: "VF" }) } },
};
/** Where a card may be when it changes. */
const scenes: { readonly [name: string]: Partial<Deployable> } = {
  "on offer": {},
  held: { handles: { pf: held("c1") } },
  "being scrubbed": {
    clean: false,
    phase: "scrubbing",
    imageGeneration: 98,
    wish: { scrub: "erase" },
    handles: { pf: handle({ state: "releasing" }) },
  },
  "being programmed": {
    clean: false,
    phase: "programming",
    imageGeneration: 98,
    handles: { pf: held("c1", { holder: { claim: "c1", project: "p1", binding: true } }) },
  },
  "of a silent host": { hostOnline: false },
};
const cases = Object.entries(scenes).flatMap(([scene, facts]) =>
  Object.entries(changes).map(([name, change]) => {
    const before = deployable(facts);
    return { scene, name, before, after: { ...before, ...change, revision: 77, updatedAt: 77 } };
  }),
);

/** What the stream's functions would do about the change. */
function followedBy(before: Deployable, after: Deployable): readonly unknown[] {
  const rows: readonly Item[] = [before, after].map(deployableRow);
  const change: Change = { id: "1", at: 0, before: rows[0], after: rows[1] };
  return [
    changedWish(change),
    newlyOffered(change),
    ...deployableEvents(before, after),
    ...changedHosts([change]),
  ].filter((one) => one !== undefined);
}

const marked = (before: Deployable, after: Deployable) => {
  const write = replaceDeployable(before, after);
  return write.kind === "put" && write.item["quiet"];
};

describe("a change of a deployable that wakes nobody", () => {
  test.each(cases)(
    "is one from which nothing follows: $name of one $scene",
    ({ before, after }) => {
      if (isQuiet(before, after)) expect(followedBy(before, after)).toEqual([]);
      expect(marked(before, after)).toBe(isQuiet(before, after) ? true : undefined);
    },
  );

  test.each(["being scrubbed", "being programmed"])("is a step of one %s", (scene) => {
    const steps = cases.filter((one) => one.scene === scene && isQuiet(one.before, one.after));
    expect(steps.map(({ name }) => name)).toEqual(["phase", "clean", "reported"]);
  });

  test("is none that takes a card off offer or puts it on", () => {
    const [dirty, clean] = [deployable({ clean: false }), deployable({ clean: true })];
    expect([isQuiet(dirty, clean), isQuiet(clean, dirty)]).toEqual([false, false]);
  });
});
