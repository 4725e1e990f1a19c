import { createHash } from "node:crypto";
import { lstat, mkdir, readdir, readFile, realpath, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { type FaultCode, isFault } from "#domain/faults";
import { toolPaths } from "../../../../agent/host/linux/tools.ts";
import { isKernelError } from "../../../../agent/host/sysfs-port.ts";
import { noTools, programUserBy, toolNames } from "../../../../agent/host/tools.ts";
import {
  type FakeToolOptions,
  type FakeTools,
  fakeTools,
  type ToolEnd,
  type ToolStart,
} from "../../support/fake-tools.ts";

const image = Buffer.from("a whole image");
const sha256 = createHash("sha256").update(image).digest("hex");
const card = "0000:3b:00.0";
const aws = "0000:00:1e.0";
const agfi = "agfi-0123456789abcdef0";
const fault = (code: FaultCode) => expect.toSatisfy((error) => isFault(error, code));
const errno = (code: string) => expect.toSatisfy((error) => isKernelError(error, code));

let bench: FakeTools | undefined;
afterEach(async () => {
  await bench?.close();
  bench = undefined;
});

async function open(
  behave: (start: ToolStart) => ToolEnd | Promise<ToolEnd>,
  options?: FakeToolOptions,
): Promise<FakeTools> {
  bench = await fakeTools(behave, options);
  return bench;
}

/** A promise and its settling, to hold a tool until the test lets it end. */
function gate() {
  const { promise, resolve } = Promise.withResolvers<ToolEnd>();
  return { end: promise, let: resolve };
}

describe("what a tool is started with", () => {
  test("fpgaconf gets the card's whole address and a plain file of the same bytes", async () => {
    const seen: unknown[] = [];
    const { tools, starts, folder } = await open(async ({ args }) => {
      const path = args.at(-1) ?? "";
      const { mode } = await lstat(path);
      seen.push((await readFile(path)).equals(image), (mode & 0o777).toString(8));
      seen.push((await realpath(path)) === path);
      return {};
    });
    await tools.configure("0001:3b:1f.2", image);
    expect(seen).toEqual([true, "400", true]);
    const [start] = starts;
    expect(start?.args.slice(0, -1)).toEqual([
      "-S",
      "0x0001",
      "-B",
      "0x3b",
      "-D",
      "0x1f",
      "-F",
      "0x2",
    ]);
    expect(start?.args.at(-1)).toMatch(new RegExp(`/${sha256}\\.gbs$`));
    expect(start?.cwd).toBe("/");
    expect(start?.env["LC_ALL"]).toBe("C");
    expect(Object.keys(start?.env ?? {}).sort()).toEqual(["LC_ALL", "PATH"]);
    expect(await readdir(folder)).toEqual([]);
  });

  test("XRT's tools get a verb that never writes flash", async () => {
    const { tools, starts } = await open(() => ({}));
    await tools.programUser(card, image);
    await tools.resetUser("0000:3b:00.1");
    expect(starts.map(({ tool, args }) => [tool, ...args.slice(0, 6)])).toEqual([
      ["xbmgmt", "--batch", "--force", "program", "--device", card, "--user"],
      ["xbutil", "--batch", "--force", "reset", "--device", "0000:3b:00.1"],
    ]);
    expect(starts[0]?.args.at(-1)).toMatch(/\.xclbin$/);
  });

  test("AWS's tools get slot and AGFI", async () => {
    const { tools, starts } = await open(() => ({}));
    await tools.loadAfi(3, agfi);
    await tools.clearAfi(7);
    expect(starts.map(({ tool, args }) => [tool, ...args])).toEqual([
      ["fpga-load-local-image", "-S", "3", "-I", agfi],
      ["fpga-clear-local-image", "-S", "7"],
    ]);
  });

  test("nothing is started for an argument that is none", async () => {
    const { tools, starts } = await open(() => ({}));
    const calls = [
      ...["", "3b:00.0", "0000:3B:00.0", "0000:3b:00.0 -y", "../etc"].flatMap((address) => [
        () => tools.configure(address, image),
        () => tools.programUser(address, image),
        () => tools.resetUser(address),
      ]),
      ...[-1, 8, 1.5, Number.NaN].flatMap((slot) => [
        () => tools.loadAfi(slot, agfi),
        () => tools.clearAfi(slot),
      ]),
      ...["", "afi-0123456789abcdef0", `${agfi}0`, `${agfi}\n`, "--help"].map(
        (id) => () => tools.loadAfi(0, id),
      ),
    ];
    for (const call of calls) await expect(call()).rejects.toEqual(fault("INVALID_REQUEST"));
    expect(starts).toEqual([]);
  });

  test("every tool has an absolute path of its own", () => {
    const paths = toolNames.map((tool) => toolPaths[tool]);
    expect(paths.every((path) => path.startsWith("/"))).toBe(true);
    expect(new Set(paths).size).toBe(paths.length);
  });
});

describe("what the end of a tool means", () => {
  test.each([
    [1, "PROGRAM_FAILED"],
    [2, "IMAGE_HEADER_INVALID"],
    [3, "CARD_DEGRADED"],
    [4, "IMAGE_INCOMPATIBLE"],
    [5, "PROGRAM_FAILED"],
    [6, "PROGRAM_FAILED"],
    [7, "PROGRAM_FAILED"],
    [8, "PROGRAM_FAILED"],
    [99, "PROGRAM_FAILED"],
  ] as const)("fpgaconf's exit code %i is %s, in its own words", async (code, expected) => {
    const { tools, folder } = await open(() => ({
      code,
      stderr: "first\nNo suitable slots found.\n",
    }));
    const error: unknown = await tools.configure(card, image).catch((one: unknown) => one);
    expect(error).toEqual(fault(expected));
    expect(error).toMatchObject({ detail: { exit: code } });
    expect(String(error)).toContain("No suitable slots found.");
    expect(await readdir(folder)).toEqual([]);
  });

  test("XRT has one exit code for every failure", async () => {
    const { tools } = await open(() => ({ code: 1, stdout: "ERROR: card is busy" }));
    await expect(tools.programUser(card, image)).rejects.toEqual(fault("PROGRAM_FAILED"));
    await expect(tools.resetUser(card)).rejects.toEqual(fault("CARD_DEGRADED"));
  });

  test.each([
    [3, "busy", "IN_USE"],
    [5, "invalid-afi-id", "IMAGE_INCOMPATIBLE"],
    [6, "afi-load-timeout", "PROGRAM_TIMEOUT"],
    [11, "invalid-afi-cmd-api-version", "PROGRAM_FAILED"],
    [12, "cl-id-mismatch", "READ_BACK_MISMATCH"],
    [13, "cl-ddr-calib-failed", "PROGRAM_FAILED"],
    [14, "unspecified-error", "PROGRAM_FAILED"],
    [16, "shell-version-not-supported", "IMAGE_INCOMPATIBLE"],
    [17, "afi-power-violation", "PROGRAM_FAILED"],
    [18, "dram-data-retention-not-possible", "PROGRAM_FAILED"],
    [19, "hardware-busy", "IN_USE"],
    [20, "pci-device-missing", "CARD_DEGRADED"],
    [21, "afi-command-malformed", "PROGRAM_FAILED"],
    [22, "dram-data-retention-failed", "PROGRAM_FAILED"],
    [23, "dram-data-retention-setup-failed", "PROGRAM_FAILED"],
    [24, "software-problem", "PROGRAM_FAILED"],
    [25, "unresponsive", "CARD_DEGRADED"],
    [26, "err-rl-reload-needed-drop-pci-link", "PROGRAM_FAILED"],
    [27, "incompatible-flags", "PROGRAM_FAILED"],
    [28, "clkgen-invalid-recipe", "PROGRAM_FAILED"],
    [29, "clkgen-failed", "PROGRAM_FAILED"],
  ] as const)("AWS's error %i (%s) is %s", async (number, name, expected) => {
    const end = { code: 1, stdout: `Error: (${number}) ${name}\n` };
    const { tools } = await open(() => end, { inProcess: true });
    for (const call of [() => tools.loadAfi(0, agfi), () => tools.clearAfi(0)]) {
      const error: unknown = await call().catch((one: unknown) => one);
      expect(error).toEqual(fault(expected));
      expect(error).toMatchObject({ detail: { awsError: number } });
      expect(String(error).includes("stop and start the instance")).toBe(
        expected === "CARD_DEGRADED",
      );
    }
  });

  test("an AWS failure without a number is a failed program all the same", async () => {
    const { tools } = await open(() => ({ code: 127, stderr: "no idea" }));
    await expect(tools.loadAfi(0, agfi)).rejects.toEqual(fault("PROGRAM_FAILED"));
  });

  test("a tool that is not installed is told by name", async () => {
    const { tools } = await open(() => ({}), { without: ["fpgaconf"] });
    expect(await tools.has("fpgaconf")).toBe(false);
    expect(await tools.has("xbutil")).toBe(true);
    await expect(tools.configure(card, image)).rejects.toThrow("fpgaconf is not installed");
  });

  test("a host without tools says so for each", async () => {
    const calls = [
      () => noTools.configure(card, image),
      () => noTools.programUser(card, image),
      () => noTools.resetUser(card),
      () => noTools.describeAfi(aws),
      () => noTools.loadAfi(0, agfi),
      () => noTools.clearAfi(0),
    ];
    for (const call of calls) await expect(call()).rejects.toEqual(fault("PROGRAM_FAILED"));
    for (const tool of toolNames) expect(await noTools.has(tool)).toBe(false);
  });

  test("output without end neither stops a program nor fills the memory", async () => {
    const flood = "x".repeat(5 << 20);
    const { tools } = await open(() => ({ code: 4, stdout: flood, stderr: flood }));
    const error: unknown = await tools.configure(card, image).catch((one: unknown) => one);
    expect(error).toEqual(fault("IMAGE_INCOMPATIBLE"));
    expect(String(error).length).toBeLessThan(500);
  });
});

describe("the folder of lent files", () => {
  test("is emptied of what a killed agent left", async () => {
    const { tools, folder } = await open(() => ({}));
    await mkdir(join(folder, "call-old"), { recursive: true });
    await writeFile(join(folder, "call-old", "old.gbs"), "secret");
    await tools.configure(card, image);
    expect(await readdir(folder)).toEqual([]);
  });

  test("that cannot be made is a failed program, until it can", async () => {
    const { tools, folder, starts } = await open(() => ({}));
    await writeFile(folder, "in the way");
    await expect(tools.configure(card, image)).rejects.toEqual(fault("PROGRAM_FAILED"));
    expect(starts).toEqual([]);
    await rm(folder);
    await tools.configure(card, image);
  });

  test("keeps two cards' copies of one image apart", async () => {
    const { tools, starts } = await open(() => ({}));
    await Promise.all([tools.configure(card, image), tools.configure("0000:5e:00.0", image)]);
    const paths = starts.map(({ args }) => args.at(-1));
    expect(new Set(paths).size).toBe(2);
  });
});

describe("a tool that does not end", () => {
  test("is killed after its bound, and the card is free again", async () => {
    const started = Promise.withResolvers<void>();
    const bounds: number[] = [];
    const behave = (): ToolEnd => {
      started.resolve();
      return "never";
    };
    const sleep = async (ms: number) => {
      bounds.push(ms);
      await started.promise;
    };
    const { tools, starts, folder } = await open(behave, { sleep });
    await expect(tools.configure(card, image)).rejects.toEqual(errno("ETIMEDOUT"));
    expect(() => process.kill(starts[0]?.pid ?? process.pid, 0)).toThrow("ESRCH");
    expect(await readdir(folder)).toEqual([]);
    await expect(tools.configure(card, image)).rejects.toEqual(errno("ETIMEDOUT"));
    // Reading is given less time than programming, and that less than its caller has.
    await expect(tools.describeAfi(aws)).rejects.toEqual(errno("ETIMEDOUT"));
    expect(bounds).toEqual([100_000, 100_000, 10_000]);
  });

  test("keeps its card and no other while it runs", async () => {
    const held = gate();
    const { tools } = await open(({ args }) => (args.includes("0x3b") ? held.end : {}));
    const first = tools.configure(card, image);
    await expect(tools.configure(card, image)).rejects.toEqual(errno("EBUSY"));
    await expect(tools.resetUser("0000:3b:00.1")).rejects.toEqual(errno("EBUSY"));
    await tools.configure("0000:5e:00.0", image);
    held.let({});
    await first;
    await tools.configure(card, image);
  });

  test("is not joined by another of AWS's tools, on whatever slot", async () => {
    const held = gate();
    const { tools, starts } = await open(() => held.end);
    const first = tools.loadAfi(0, agfi);
    await expect(tools.clearAfi(1)).rejects.toEqual(errno("EBUSY"));
    await expect(tools.describeAfi(aws)).rejects.toEqual(errno("EBUSY"));
    held.let({});
    await first;
    expect(starts).toHaveLength(1);
  });

  test("is waited for by a change when it only reads", async () => {
    const held = gate();
    const { tools, starts } = await open(({ tool }) => (tool.includes("slots") ? held.end : {}));
    const looked = tools.describeAfi(aws);
    const loaded = tools.loadAfi(0, agfi);
    held.let({});
    expect(await looked).toBeUndefined();
    await loaded;
    expect(starts.map(({ tool }) => tool)).toEqual([
      "fpga-describe-local-image-slots",
      "fpga-load-local-image",
    ]);
  });
});

describe("what AWS's tools tell", () => {
  const slots = [
    "Type    FpgaImageSlot  VendorId    DeviceId    DBDF",
    "AFIDEVICE    0       0x1d0f      0x9048      0000:00:1b.0",
    `AFIDEVICE    3       0x1d0f      0x9048      ${aws}`,
  ].join("\n");
  const describes = (text: string, list = slots) =>
    open(({ tool }) => ({ stdout: tool.includes("slots") ? list : `${text}\n${slots}` }), {
      inProcess: true,
    });

  test.each([
    [`AFI 3 ${agfi} loaded 0 ok 0 0x10212415`, { agfi, status: 0, error: 0, errorName: "ok" }],
    ["AFI 3 No AFI cleared 1 ok 0 0x10212415", { status: 1, error: 0, errorName: "ok" }],
    ["AFI 3 none cleared 1 ok 0 <undef>", { status: 1, error: 0, errorName: "ok" }],
    [
      "AFI 3 No AFI load-failed 7 pci-device-missing 20 0x1",
      { status: 7, error: 20, errorName: "pci-device-missing" },
    ],
  ])("%s", async (line, expected) => {
    const { tools, starts } = await describes(line);
    expect(await tools.describeAfi(aws)).toEqual({ slot: 3, ...expected });
    expect(starts.map(({ args }) => args)).toEqual([[], ["-S", "3"]]);
  });

  test("nothing of an address where no slot is", async () => {
    const { tools } = await describes("");
    expect(await tools.describeAfi("0000:00:1f.0")).toBeUndefined();
  });

  test.each([
    "",
    "AFI 3",
    "AFI 0 No AFI cleared 1 ok 0 0x1",
    "AFI x No AFI cleared 1 ok 0 0x1",
    "AFI 3 afi-0123 loaded 0 ok 0 0x1",
    "AFI 3 No loaded 0 ok 0 0x1",
    `AFI 3 ${agfi} loaded zero ok 0 0x1`,
    `AFI 3 ${agfi} loaded 0 ok`,
    `AFI 3 ${agfi} loaded 0 ok 0 0x1\nAFI 3 No AFI cleared 1 ok 0 0x1`,
  ])("%j makes no sense", async (text) => {
    const { tools } = await describes(text);
    await expect(tools.describeAfi(aws)).rejects.toEqual(fault("CARD_DEGRADED"));
  });

  test.each([
    `AFIDEVICE 8 0x1d0f 0x9048 ${aws}`,
    `AFIDEVICE x 0x1d0f 0x9048 ${aws}`,
    "AFIDEVICE 3 0x1d0f 0x9048 nowhere",
    "AFIDEVICE 3",
  ])("nor does %j", async (list) => {
    const { tools } = await describes(`AFI 3 ${agfi} loaded 0 ok 0 0x1`, list);
    await expect(tools.describeAfi(aws)).rejects.toEqual(fault("CARD_DEGRADED"));
  });

  test("a failed look is the card's fault, not an empty answer", async () => {
    const { tools } = await open(() => ({ code: 1, stdout: slots }));
    await expect(tools.describeAfi(aws)).rejects.toEqual(fault("CARD_DEGRADED"));
  });
});

test("xbmgmt gets the whole file, and the end of it is 100 percent", async () => {
  const given: Buffer[] = [];
  const program = programUserBy({
    ...noTools,
    programUser: async (_, file) => void given.push(file),
  });
  const seen: number[] = [];
  const functionId = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa";
  const progress = (percent: number) => void seen.push(percent);
  const bytes = image.subarray(2);
  await program(card, { bytes, file: image, functionId }, progress);
  await program(card, { bytes, functionId }, progress);
  expect(given).toEqual([image, bytes]);
  expect(seen).toEqual([100, 100]);
});
