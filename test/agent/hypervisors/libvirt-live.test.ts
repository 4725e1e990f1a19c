import { access } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { realSleep } from "../../../agent/host/deadline.ts";
import { openVirsh } from "../../../agent/host/linux/virsh.ts";
import type { Virsh } from "../../../agent/host/virsh.ts";
import { libvirt } from "../../../agent/hypervisors/libvirt.ts";
import { faultOf, handle } from "../../conformance/hypervisor.ts";
import { FakeVirsh } from "../support/fake-virsh.ts";

const target = { hypervisor: "libvirt", domain: "guest" } as const;
const alias = `ua-gatehouse-${handle.claim}`;
let fake: FakeVirsh;
let virsh: Virsh;
const uri = "qemu:///system";

beforeEach(async () => {
  fake = await FakeVirsh.make();
  virsh = await opened();
});
afterEach(async () => {
  await expect.poll(() => fake.living()).toEqual([]);
  await fake.close();
});

async function opened(options: { readonly readMs?: number; readonly changeMs?: number } = {}) {
  const folder = join(fake.home, "xml");
  const found = await openVirsh({ path: fake.path, uri, folder, ...options });
  if (found === undefined) throw new Error("no virsh");
  return found;
}

const calls = async (verb: string) =>
  (await fake.told("calls")).filter((call) => call.startsWith(verb));

/** A plugin whose deadline is over as soon as virsh was asked for something. */
const impatient = (verb: string) =>
  libvirt({
    virsh,
    ms: 30_000,
    pollMs: 5,
    sleep: async (ms, signal) => {
      if (ms < 30_000) await realSleep(ms, signal);
      else await vi.waitUntil(async () => (await calls(verb)).length > 0, { timeout: 10_000 });
    },
  });

/** A plugin that looks once and then only listens. */
const listening = () =>
  libvirt({
    virsh,
    sleep: (_ms, signal) =>
      new Promise((resolve) => {
        signal?.addEventListener("abort", () => {
          resolve();
        });
      }),
  });
const quick = () => libvirt({ virsh, pollMs: 5 });

test("a host without virsh has none to give", async () => {
  const options = { path: join(fake.home, "nowhere"), uri, folder: fake.home };
  expect(await openVirsh(options)).toBeUndefined();
});

test("the element goes through a private file, with the environment cleared", async () => {
  const { xml } = await quick().plug(handle, target);
  expect(await fake.devices()).toEqual([alias]);
  expect(await fake.told(join("domains", "guest", alias))).toEqual([xml]);
  expect(await fake.told("mode")).toEqual(["600 regular file"]);
  expect((await fake.told("environment"))[0]?.split(" ").sort()).toEqual(["LC_ALL", "PATH", "PWD"]);
  await expect(access(join(fake.home, "xml", `${alias}.xml`))).rejects.toThrow("ENOENT");
  await quick().unplug(handle, target);
});

test("without a domain the element is given out and virsh is not asked", async () => {
  expect(await quick().plug(handle, { hypervisor: "libvirt" })).toHaveProperty("xml");
  await quick().unplug(handle, { hypervisor: "libvirt" });
  expect(await fake.told("calls")).toEqual([""]);
});

test("a number is no domain: it would be the id of one run", async () => {
  expect(await faultOf(quick().plug(handle, { ...target, domain: "1" }))).toMatchObject({
    code: "PLUG_FAILED",
    field: "target.domain",
  });
  await expect(virsh.dumpxml("1")).rejects.toThrow("name or uuid");
  await expect(virsh.detachAlias("guest", "../x")).rejects.toThrow("alias");
});

describe("an attach", () => {
  test.each([
    ["refuses-attach", /device_add/],
    ["attaches-nothing", /does not show/],
    ["unreachable", /failed to connect/],
  ] as const)(
    "of a libvirt that %s fails with its words and leaves no file",
    async (manner, words) => {
      await fake.behave(manner);
      await expect(quick().plug(handle, target)).rejects.toThrow(words);
      expect(await faultOf(quick().plug(handle, target))).toMatchObject({ code: "PLUG_FAILED" });
      await expect(access(join(fake.home, "xml", `${alias}.xml`))).rejects.toThrow("ENOENT");
    },
  );

  test("to a domain that is unknown fails", async () => {
    await expect(quick().plug(handle, { ...target, domain: "other" })).rejects.toThrow(
      "failed to get domain 'other'",
    );
  });

  test.each(["dumpxml", "attach-device"] as const)(
    "whose %s hangs ends with the call's bound, and the program with it",
    async (verb) => {
      await fake.behave(`hang-${verb}`);
      virsh = await opened({ readMs: verb === "dumpxml" ? 300 : 10_000, changeMs: 300 });
      expect(await faultOf(quick().plug(handle, target))).toMatchObject({ code: "PLUG_FAILED" });
    },
  );
});

describe("a detach", () => {
  beforeEach(async () => {
    await quick().plug(handle, target);
  });

  test("is done when the device is gone, though no event came", async () => {
    await fake.behave("silent");
    await quick().unplug(handle, target);
    expect(await fake.devices()).toEqual([]);
  });

  test("takes a success of virsh for no proof: the deadline ends it", async () => {
    await fake.behave("keeps");
    const late = impatient("detach-device-alias").unplug(handle, target);
    expect(await faultOf(late)).toMatchObject({ code: "UNPLUG_FAILED" });
    expect(await fake.devices()).toEqual([alias]);
  });

  test("of a guest that lets go later ends then", async () => {
    await fake.behave("late");
    const work = quick().unplug(handle, target);
    await expect.poll(() => calls("detach-device-alias")).toHaveLength(1);
    expect(await fake.devices()).toEqual([alias]);
    await fake.letGo();
    await work;
  });

  test("that the guest refuses fails by the event alone, and can be tried again", async () => {
    await fake.behave("removal-fails");
    await expect(listening().unplug(handle, target)).rejects.toThrow(/refuses to let go/);
    await fake.behave();
    await fake.forgetEvents();
    await quick().unplug(handle, target);
    expect(await fake.devices()).toEqual([]);
  });

  test("that libvirt refuses fails with its words", async () => {
    await fake.behave("refuses-detach");
    await expect(quick().unplug(handle, target)).rejects.toThrow("device is in use");
  });

  test("that hangs ends with the call's bound", async () => {
    await fake.behave("hang-detach-device-alias");
    virsh = await opened({ changeMs: 300 });
    expect(await faultOf(quick().unplug(handle, target))).toMatchObject({ code: "UNPLUG_FAILED" });
  });

  test("from a domain that is off, unknown, or of a libvirt that is gone does nothing", async () => {
    await fake.stopGuest();
    await quick().unplug(handle, target);
    await fake.undefine();
    await quick().unplug(handle, target);
    await fake.behave("unreachable");
    await quick().unplug(handle, target);
    expect(await calls("detach-device-alias")).toEqual([]);
  });
});
