import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { isFault } from "#domain/faults";
import { attachment } from "#protocol/wire/shapes";
import type { BoundHandle, Hypervisor } from "../../agent/hypervisors/hypervisor.ts";

/** The handle that every plugin is tried with. */
export const handle: BoundHandle = {
  deployable: "88888888-8888-4888-8888-888888888888",
  name: "vf0",
  type: "VF",
  address: "0000:3b:00.1",
  iommuGroup: 42,
  claim: "99999999-9999-4999-8999-999999999999",
};

/** A plugin with the guest it plugs into. */
export interface Stage {
  readonly plugin: Hypervisor;
  /** What a handle in a guest leaves in the world: files, devices, connections. */
  traces(): Promise<readonly string[]>;
  /** For plugins that wait: the same one against a guest that never does what it is asked. */
  stalled?(call: "plug" | "unplug"): Promise<Hypervisor>;
  close(): Promise<void>;
}

/** The code and field a call fails with; "no fault" when it does not. */
export async function faultOf(work: Promise<unknown>): Promise<object | string> {
  try {
    await work;
    return "no fault";
  } catch (error) {
    return isFault(error) ? { code: error.code, ...error.detail } : String(error);
  }
}

/** What every hypervisor plugin must do, whatever it plugs into. `guest`: whether it takes a domain. */
export function describeHypervisor(
  name: Hypervisor["name"],
  open: () => Promise<Stage>,
  { guest = "none" }: { readonly guest?: "needed" | "optional" | "none" } = {},
): void {
  describe(`hypervisor ${name}`, () => {
    const target = { hypervisor: name, domain: "guest" } as const;
    let stage: Stage;
    beforeEach(async () => {
      stage = await open();
    });
    afterEach(() => stage.close());

    test("bears the name that targets use", () => {
      expect(stage.plugin.name).toBe(name);
    });

    test("a plug returns an attachment that the wire takes and that names the address", async () => {
      const answer = await stage.plugin.plug(handle, target);
      expect(attachment.parse(answer)).toEqual(answer);
      expect(answer).toMatchObject({ hypervisor: name, pciAddress: handle.address });
    });

    test("a second plug returns the same and leaves nothing more", async () => {
      const first = await stage.plugin.plug(handle, target);
      const traces = await stage.traces();
      expect(await stage.plugin.plug(handle, target)).toEqual(first);
      expect(await stage.traces()).toEqual(traces);
    });

    test("an unplug takes back all that the plug left, and a second one does nothing", async () => {
      const before = await stage.traces();
      await stage.plugin.plug(handle, target);
      await stage.plugin.unplug(handle, target);
      expect(await stage.traces()).toEqual(before);
      await stage.plugin.unplug(handle, target);
      expect(await stage.traces()).toEqual(before);
    });

    test("an unplug of what was never plugged does nothing", async () => {
      const before = await stage.traces();
      await stage.plugin.unplug(handle, target);
      expect(await stage.traces()).toEqual(before);
    });

    test("an address that is none is refused before anything happens", async () => {
      const before = await stage.traces();
      const hostile = { ...handle, address: "0000:3b:00.1'/><x a='" };
      expect(await faultOf(stage.plugin.plug(hostile, target))).toMatchObject({
        code: "INVALID_REQUEST",
        field: "address",
      });
      expect(await stage.traces()).toEqual(before);
    });

    test.skipIf(guest === "none").each(["plug", "unplug"] as const)(
      "a %s that is never answered ends at the deadline with its fault",
      async (call) => {
        await stage.plugin.plug(handle, target);
        if (call === "plug") await stage.plugin.unplug(handle, target);
        const stalled = await stage.stalled?.(call);
        expect(await faultOf(stalled?.[call](handle, target) ?? Promise.resolve())).toMatchObject({
          code: `${call.toUpperCase()}_FAILED`,
        });
      },
    );

    const badNames = ["../guest", "a/b", "-c", "", "a b", "x\n"];
    const refusedNames = { needed: [undefined, ...badNames], optional: badNames, none: [] };
    test.each(refusedNames[guest])(
      "the guest name %j is refused by name of the field, and unplugging it does nothing",
      async (domain) => {
        const hostile = { hypervisor: name, ...(domain === undefined ? {} : { domain }) };
        expect(await faultOf(stage.plugin.plug(handle, hostile))).toMatchObject({
          code: "PLUG_FAILED",
          field: "target.domain",
        });
        await stage.plugin.unplug(handle, hostile);
      },
    );
  });
}
