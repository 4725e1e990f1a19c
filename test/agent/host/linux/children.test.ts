import { execFileSync, spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { realSleep } from "../../../../agent/host/deadline.ts";
import { type KernelChildren, kernelChildren } from "../../../../agent/host/linux/children.ts";
import { linuxSysfs } from "../../../../agent/host/linux/sysfs.ts";
import { isKernelError, type SysfsPort } from "../../../../agent/host/sysfs-port.ts";

const script = join(import.meta.dirname, "../../../../agent/kernel-child.ts");
const errno = (code: string) => expect.toSatisfy((error) => isKernelError(error, code));

let root: string;
let children: KernelChildren;
let port: SysfsPort;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "gatehouse-linux-"));
  children = kernelChildren({ script, sleep: realSleep });
  port = linuxSysfs({ root, children });
});
afterEach(async () => {
  children.close();
  await rm(root, { recursive: true, force: true });
});

/** A file whose opening for writing waits, as some attributes do, until somebody reads it. */
async function blocking(name: string): Promise<{ readonly letGo: () => Promise<string> }> {
  execFileSync("mkfifo", [join(root, name)]);
  return { letGo: () => readFile(join(root, name), "utf8") };
}

test("an attribute gets its whole value, and one that is missing is not made", async () => {
  await writeFile(join(root, "driver_override"), "(null)\n");
  expect(await port.read("/driver_override")).toBe("(null)");
  await port.write("/driver_override", "vfio-pci", 10_000);
  expect(await readFile(join(root, "driver_override"), "utf8")).toMatch(/^vfio-pci/);
  await expect(port.write("/missing", "1", 10_000)).rejects.toEqual(errno("ENOENT"));
  expect(await port.exists("/missing")).toBe(false);
  await expect(port.write("/", "1", 10_000)).rejects.toEqual(errno("EISDIR"));
});

test("a write that blocks ends at its deadline, holds up no other, and still happens", async () => {
  const { letGo } = await blocking("unbind");
  await writeFile(join(root, "reset"), "");
  await expect(port.write("/unbind", "0000:01:00.0", 50)).rejects.toEqual(errno("ETIMEDOUT"));
  await port.write("/reset", "1", 10_000);
  expect(await letGo()).toBe("0000:01:00.0");
});

test("an ioctl that the kernel refuses is told by its errno, a node that is missing too", async () => {
  const program = (engine: string) =>
    children.call({ verb: "program", engine, port: 0 }, { payload: Buffer.alloc(4096) });
  await expect(program("/dev/null")).rejects.toEqual(errno("ENOTTY"));
  await expect(program(join(root, "nothing"))).rejects.toEqual(errno("ENOENT"));
  const node = { verb: "program", engine: "/dev/null", port: 0, node: join(root, "port") } as const;
  await expect(children.call(node, { payload: Buffer.alloc(4) })).rejects.toEqual(errno("ENOENT"));
  for (const verb of ["release", "assign"] as const) {
    await expect(children.call({ verb, engine: "/dev/null", port: 1 })).rejects.toEqual(
      errno("ENOTTY"),
    );
  }
});

test("a child that is killed is told, and the next call has another", async () => {
  await blocking("unbind");
  await writeFile(join(root, "reset"), "");
  const before = new Set(childrenOf(process.pid));
  const write = port.write("/unbind", "x", 30_000);
  // The child that waits in the kernel is the one that was there first.
  for (const pid of before) process.kill(pid, "SIGKILL");
  await expect(write).rejects.toEqual(errno("ECHILD"));
  await port.write("/reset", "1", 10_000);
});

test("a child ends with the process that started it", async () => {
  const children = join(import.meta.dirname, "../../../../agent/host/linux/children.ts");
  const program = `
    import { kernelChildren } from ${JSON.stringify(children)};
    const all = kernelChildren({ script: ${JSON.stringify(script)}, sleep: async () => {} });
    await all.call({ verb: "read", path: "/proc/self/stat" }).then((text) => console.log(text));
    process.kill(process.pid, "SIGKILL");`;
  const parent = spawn(process.execPath, ["--input-type=module", "-e", program]);
  let text = "";
  parent.stdout.on("data", (chunk: Buffer) => {
    text += chunk.toString();
  });
  await new Promise((resolve) => parent.once("close", resolve));
  const pid = Number(text.split(" ")[0]);
  expect(pid).toBeGreaterThan(1);
  await expect.poll(() => isAlive(pid), { timeout: 10_000 }).toBe(false);
});

function childrenOf(pid: number): readonly number[] {
  const text = execFileSync("ps", ["-o", "pid=,args=", "--ppid", String(pid)], {
    encoding: "utf8",
  });
  const lines = text.split("\n").filter((line) => line.includes("kernel-child"));
  return lines.map((line) => Number(line.trim().split(" ")[0]));
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
