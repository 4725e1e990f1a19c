import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { cardsDriver } from "../../agent/drivers/cards.ts";
import { realSleep } from "../../agent/host/deadline.ts";
import { linuxCardPort } from "../../agent/host/linux/card-port.ts";
import { type KernelChildren, kernelChildren } from "../../agent/host/linux/children.ts";
import { linuxReads } from "../../agent/host/linux/sysfs.ts";
import { isKernelError } from "../../agent/host/sysfs-port.ts";
import { noTools, programUserBy } from "../../agent/host/tools.ts";
import type { Benchmark, Figure } from "./figure.ts";
import { dflTree } from "./fixture-tree.ts";

const hostId = "33333333-3333-4333-8333-333333333333";
const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;

/** One scan of 64 cards over real files, median of nine. */
async function scanFiles(): Promise<Figure> {
  const root = await mkdtemp(join(tmpdir(), "gatehouse-scan-"));
  try {
    dflTree(root, 64);
    const refuse = async () => {
      throw new Error("a scan programs nothing");
    };
    const driver = cardsDriver({
      hostId,
      port: linuxReads(root),
      pr: {
        programPort: refuse,
        releasePort: refuse,
        assignPort: refuse,
        programUser: programUserBy(noTools),
      },
    });
    const times: number[] = [];
    for (let run = 0; run < 12; run += 1) {
      const begun = performance.now();
      const { devices } = await driver.discover();
      if (devices.length !== 64) throw new Error(`${devices.length} of 64 cards were found`);
      if (run >= 3) times.push(performance.now() - begun);
    }
    const budget = { atMost: 50 };
    return { name: "scan of 64 cards, files", value: median(times), unit: "ms", budget };
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}

/**
 * What the agent adds to the ioctl: from the call to the answer of a kernel that refuses at once
 * (/dev/null, ENOTTY), with the child started ahead. Median of five.
 */
async function programOverhead(mebibytes: number): Promise<Figure> {
  const root = await mkdtemp(join(tmpdir(), "gatehouse-program-"));
  const script = join(import.meta.dirname, "..", "..", "agent", "kernel-child.ts");
  const children = kernelChildren({ script, sleep: realSleep });
  const bytes = Buffer.alloc(mebibytes << 20, 7);
  const image = { bytes, functionId: "" };
  const times: number[] = [];
  try {
    dflTree(root, 1);
    const card = linuxCardPort({ port: linuxReads(root), children: refusing(children) });
    for (let run = 0; run < 5; run += 1) {
      await pause(800);
      const begun = performance.now();
      const refusal = await card
        .programPort("/dev/dfl-fme.0", 0, image, () => undefined)
        .then(
          () => undefined,
          (error: unknown) => error,
        );
      times.push(performance.now() - begun);
      // Any other answer came from a child that never reached the kernel.
      if (!isKernelError(refusal, "ENOTTY")) throw new Error("no ENOTTY", { cause: refusal });
    }
  } finally {
    children.close();
    await rm(root, { recursive: true, force: true });
  }
  const name = `round a program of ${mebibytes} MiB`;
  return {
    name,
    value: median(times),
    unit: "ms",
    ...(mebibytes > 1 ? {} : { budget: { atMost: 50 } }),
  };
}

/** Programs go to a node that is on every machine and has no such ioctl. */
function refusing(children: KernelChildren): KernelChildren {
  const engine = "/dev/null";
  return {
    ...children,
    call: (request, options) =>
      request.verb === "program"
        ? children.call({ verb: "program", engine, port: request.port }, options)
        : children.call(request, options),
  };
}

/** The agent's own cost on a real host, without a card. */
export const host: Benchmark = {
  name: "host",
  about: "The agent's work on images and sockets.",
  run: async () => [await scanFiles(), await programOverhead(1), await programOverhead(64)],
};
