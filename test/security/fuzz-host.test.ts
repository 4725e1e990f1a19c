import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { inventoryDevice } from "#protocol/wire/inventory";
import { attachment } from "#protocol/wire/shapes";
import { cardsDriver } from "../../agent/drivers/cards.ts";
import { portCount } from "../../agent/drivers/dfl-view.ts";
import { simulatedDriver } from "../../agent/drivers/simulated.ts";
import { afiSlot, slotAt } from "../../agent/host/afi-slots.ts";
import { stockCards } from "../../agent/host/memory-kernel/cards.ts";
import {
  addressAfter,
  addressParts,
  cardIdentity,
  isPciAddress,
  slotPath,
} from "../../agent/host/pci.ts";
import { kernelError, type SysfsPort } from "../../agent/host/sysfs-port.ts";
import { libvirt } from "../../agent/hypervisors/libvirt.ts";
import { Qmp } from "../../agent/hypervisors/qmp.ts";
import { knownWrite, mayAskHolders, mayRead } from "../../agent/privileged/grammar.ts";
import { helperCall } from "../../agent/privileged/requests.ts";
import { bench, devices, firstPf, hostId } from "../agent/kernels.ts";
import { handle } from "../conformance/hypervisor.ts";
import { anyJson, mutated, mutatedText, orFault, orFaultLater, runs } from "./fuzz.ts";

/** What the agent reads of kernel, tools and guests: never a crash, never a hang, never a guess. */

const anyText = fc.oneof(fc.string({ unit: "binary" }), fc.string());

describe("addresses and paths", () => {
  test("that are none are refused, and what is taken stays below one folder", () => {
    fc.assert(
      fc.property(fc.oneof(mutatedText(firstPf), anyText), fc.integer(), (text, distance) => {
        const parts = orFault(() => addressParts(text));
        expect(parts !== undefined).toBe(isPciAddress(text));
        if (parts === undefined) return;
        expect(text).toMatch(/^[0-9a-f:.]+$/);
        orFault(() => addressAfter(text, distance & 255));
      }),
      runs(500),
    );
  });

  test("of links give an identity without a separator, or none", () => {
    const link = `../../../devices/pci0000:00/0000:00:01.0/${firstPf}`;
    fc.assert(
      fc.property(fc.oneof(mutatedText(link), anyText), (target) => {
        for (const found of [slotPath(target), cardIdentity(target)]) {
          if (found !== undefined) expect(found).not.toContain("/");
        }
      }),
      runs(500),
    );
  });
});

test("a card's number of ports is small, or the card is broken", () => {
  fc.assert(
    fc.property(fc.oneof(fc.integer().map(String), anyText, mutatedText("2")), (text) => {
      let count = 0;
      try {
        count = portCount(text);
      } catch (error) {
        expect(error).toMatchObject({ message: "ports_num makes no sense" });
      }
      expect(count <= 4 && count >= 0).toBe(true);
    }),
    runs(200),
  );
  expect(portCount("2")).toBe(2);
});

describe("the grammar of the privileged process", () => {
  const device = `${devices}/${firstPf}`;
  const valid: readonly (readonly [string, string])[] = [
    [`${device}/driver_override`, "vfio-pci"],
    [`${device}/sriov_numvfs`, "2"],
    [`${device}/reset`, "1"],
    ["/sys/bus/pci/drivers_probe", firstPf],
    ["/sys/bus/pci/drivers/dfl-pci/unbind", firstPf],
  ];
  const nodes = ["/dev/vfio/12", "/dev/dfl-fme.0", "/dev/dri/renderD128", `${device}/sriov_numvfs`];

  test("lets through only writes below /sys/bus/pci, about an address", () => {
    const one = fc
      .constantFrom(...valid)
      .chain(([path, value]) => fc.tuple(mutatedText(path), mutatedText(value)));
    fc.assert(
      fc.property(one, ([path, value]) => {
        const known = knownWrite(path, value);
        if (known === undefined) return;
        expect(path).toMatch(/^\/sys\/bus\/pci\/[\w:./-]+$/);
        expect(path).not.toContain("..");
        expect(isPciAddress(known.address)).toBe(true);
        expect(value.trim().includes("\n")).toBe(false);
      }),
      runs(2000),
    );
  });

  test("reads and asks of nothing else", () => {
    fc.assert(
      fc.property(fc.constantFrom(...nodes).chain(mutatedText), (path) => {
        if (mayRead(path) || mayAskHolders(path)) expect(path).toMatch(/^\/(sys|dev)\/[\w:./-]+$/);
      }),
      runs(1000),
    );
  });

  test("takes no request of any other form", () => {
    const program = {
      id: 1,
      request: {
        verb: "program",
        engine: "/dev/dfl-fme.0",
        port: 0,
        file: { blank: "a".repeat(64) },
      },
    };
    fc.assert(
      fc.property(fc.oneof(anyJson, mutated(program)), (value) => {
        const read = helperCall.safeParse(value);
        if (!read.success) return;
        const text = JSON.stringify(read.data);
        expect(JSON.stringify(helperCall.parse(JSON.parse(text)))).toBe(text);
        expect(Object.keys(read.data)).toEqual(["id", "request"]);
      }),
      runs(500),
    );
  });
});

describe("the AFI tools", () => {
  const slots = `Type FpgaImageSlot VendorId DeviceId DBDF\nAFIDEVICE 0 0x1d0f 0xf000 ${firstPf}\n`;
  const images = `Type FpgaImageSlot\nAFI 0 agfi-${"0".repeat(17)} loaded 0 ok 0 0x04261818\n`;

  test("say a slot and an image, or something that is refused", () => {
    fc.assert(
      fc.property(mutatedText(slots), mutatedText(images), (one, other) => {
        const slot = orFault(() => slotAt(one, firstPf));
        if (slot !== undefined) expect([0, 1, 2, 3, 4, 5, 6, 7]).toContain(slot);
        const said = orFault(() => afiSlot(other, 0));
        if (said?.agfi !== undefined) expect(said.agfi).toMatch(/^agfi-[0-9a-f]{17}$/);
        if (said !== undefined) expect(said.status).toBeLessThan(1000);
      }),
      runs(1000),
    );
  });
});

describe("a kernel that says odd things", () => {
  interface Lie {
    readonly path: RegExp;
    readonly text: string | Error | undefined;
  }
  const attributes = [
    "vendor",
    "device",
    "class",
    "ports_num",
    "afu_id",
    "compat_id",
    "/id$",
    "state",
    "numa_node",
    "sriov_totalvfs",
    "sriov_offset",
    "sriov_stride",
    "interface_uuids",
    "logic_uuids",
    "iommu_group",
    "driver$",
    "physfn|virtfn",
    "aer_dev_fatal",
    "current_link",
    "fpga_region",
    "feature_id|uuid",
    ".",
  ];
  const text = fc.oneof(
    anyText,
    fc.constantFrom("", "-1", "0x", "NaN", "1e9", "100000000", "4294967295", "9".repeat(400), "f"),
    fc.constantFrom("EIO", "ENODEV", "EBUSY", "EACCES").map((code) => kernelError(code, "here")),
    fc.constant(undefined),
  );
  const lies: fc.Arbitrary<readonly Lie[]> = fc.array(
    fc.record({ path: fc.constantFrom(...attributes).map((one) => new RegExp(one)), text }),
    { minLength: 1, maxLength: 3 },
  );

  /** The kernel, but for what it lies about. */
  function lying(port: SysfsPort, told: readonly Lie[]): SysfsPort {
    const lie = <Answer>(
      path: string,
      truth: () => Promise<Answer>,
      as: (one: string) => Answer,
    ) => {
      const found = told.find((one) => one.path.test(path))?.text;
      // A kernel that does not even list its devices has to fail the scan: none would look like gone.
      if (found === undefined || (found instanceof Error && path === devices)) return truth();
      return found instanceof Error ? Promise.reject(found) : Promise.resolve(as(found));
    };
    return {
      read: async (path) => await lie(path, () => port.read(path), String),
      list: async (path) =>
        await lie(
          path,
          () => port.list(path),
          (one) => [one, `${one}1`],
        ),
      readlink: async (path) =>
        await lie(
          path,
          () => port.readlink(path),
          (one) => `../${one}`,
        ),
      exists: async (path) => await port.exists(path),
      write: async (path, value, ms) => await port.write(path, value, ms),
      holders: async (node) => await port.holders(node),
    };
  }

  test("gets no inventory that the wire would not take, and ends no scan", async () => {
    await fc.assert(
      fc.asyncProperty(lies, async (told) => {
        const { kernel, sleep } = bench(stockCards({ dfl: 2, alveo: 1, sriov: 1 }));
        const driver = simulatedDriver({
          hostId,
          port: lying(kernel, told),
          pr: kernel,
          sleep,
        });
        const { devices: found, problems } = await driver.discover();
        for (const device of found) expect(inventoryDevice.safeParse(device).error).toBeUndefined();
        expect(problems.length).toBeLessThan(50);
      }),
      runs(150),
    );
  }, 60_000);

  test("is the same kernel when it does not lie", async () => {
    const { kernel, sleep } = bench(stockCards({ dfl: 2, alveo: 1, sriov: 1 }));
    const host = { hostId, port: lying(kernel, []), pr: kernel, sleep };
    expect((await simulatedDriver(host).discover()).devices).toHaveLength(4);
    const blanks = { for: () => undefined, has: () => false };
    expect((await cardsDriver({ ...host, blanks }).discover()).devices).toHaveLength(4);
  });
});

describe("a guest's monitor", () => {
  /** A session whose other end says these lines: first the greeting, then they as they come. */
  async function hears(lines: readonly string[]): Promise<void> {
    const over = new AbortController();
    let hear: (text: string) => void = () => undefined;
    const opened = Qmp.open(
      "/nowhere",
      async (_, listener) => {
        hear = (text) => {
          listener.line(text);
        };
        return await Promise.resolve({ send: () => undefined, close: () => listener.end() });
      },
      over.signal,
    );
    opened.catch(() => undefined);
    await Promise.resolve();
    hear('{"QMP":{}}');
    await Promise.resolve();
    for (const line of lines) hear(line);
    over.abort();
    await orFaultLater(async () => await opened);
  }

  test("may say anything: it fails its own plug at most", async () => {
    const answer = { return: {}, id: "1" };
    const line = fc.oneof(
      mutated(answer).map((one) => JSON.stringify(one) ?? ""),
      mutated({ error: { class: "GenericError", desc: "no" }, id: "1" }).map(
        (one) => JSON.stringify(one) ?? "",
      ),
      mutated({ event: "DEVICE_DELETED", data: { device: "x" } }).map(
        (one) => JSON.stringify(one) ?? "",
      ),
      anyText,
    );
    await fc.assert(
      fc.asyncProperty(fc.array(line, { maxLength: 4 }), async (lines) => {
        await hears(lines).catch((error: unknown) => {
          expect(error).toMatchObject({ name: "QmpError" });
        });
      }),
      runs(400),
    );
  });
});

describe("libvirt", () => {
  test("may say anything of a domain", async () => {
    const xml = fc.oneof(
      anyText,
      mutatedText("<domain type='kvm' id='1'><alias name='ua-gatehouse-x'/></domain>"),
    );
    await fc.assert(
      fc.asyncProperty(xml, anyText, async (text, domain) => {
        let out = false;
        const plugin = libvirt({
          ms: 1,
          pollMs: 1,
          sleep: async () => await Promise.resolve(),
          virsh: {
            dumpxml: async () => await Promise.resolve(out ? "" : text),
            attach: async () => await Promise.resolve(),
            detachAlias: async () => {
              out = true;
              await Promise.resolve();
            },
            watch: () => ({ stop: () => undefined }),
          },
        });
        for (const name of ["guest", domain]) {
          const target = { hypervisor: "libvirt", domain: name } as const;
          const given = await orFaultLater(async () => await plugin.plug(handle, target));
          if (given !== undefined) expect(attachment.parse(given)).toEqual(given);
          await orFaultLater(async () => await plugin.unplug(handle, target));
        }
      }),
      runs(100),
    );
  });
});
