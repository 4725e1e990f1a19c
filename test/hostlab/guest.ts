import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

/** What a command in the guest ended with; both outputs in one text. */
export interface Run {
  readonly code: number;
  readonly text: string;
}

/** A virtual machine with the real kernel drivers, seen from outside. */
export interface Guest {
  /** Runs a script in the guest's shell. Rejects when it does not end in `ms`. */
  run(script: string, ms?: number): Promise<Run>;
  /** As {@link Guest.run}; rejects unless the script ends well. The text is trimmed. */
  sh(script: string, ms?: number): Promise<string>;
  /** Power off and on: what was on the kernel's side is lost, the state folder stays. */
  reboot(): Promise<void>;
  /** Folder that the guest sees as `/run/state` in its root of host programs. */
  readonly state: string;
  /** What the kernel printed. */
  console(): string;
  stop(): Promise<void>;
}

const root = join(import.meta.dirname, "../..");
/** What build.sh made. */
export const built: string = join(root, ".build/hostlab");

/** Boot takes 6 to 10 s under software emulation; a loaded machine may need more. */
const bootMs = 90_000;
const commandMs = 60_000;

/** Boots a guest. Rejects with its console when it does not come up. */
export async function startGuest(): Promise<Guest> {
  const folder = mkdtempSync(join(tmpdir(), "gatehouse-lab-"));
  const disk = join(folder, "nvme.img");
  writeFileSync(disk, "");
  truncateSync(disk, 64 << 20);
  const state = mkdtempSync(join(folder, "state-"));
  let machine = await boot(folder, state, disk);
  const run = async (script: string, ms = commandMs) => await inShell(machine.port, script, ms);
  return {
    state,
    run,
    async sh(script, ms) {
      const { code, text } = await run(script, ms);
      if (code !== 0) throw new Error(`${script}\nended with ${code}: ${text}`);
      return text.trim();
    },
    async reboot() {
      await halt(machine.process);
      machine = await boot(folder, state, disk);
    },
    console: () => machine.console(),
    async stop() {
      await halt(machine.process);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

interface Machine {
  readonly process: ChildProcess;
  readonly port: number;
  readonly console: () => string;
}

async function boot(folder: string, state: string, disk: string): Promise<Machine> {
  const port = await freePort();
  const qemu = spawn("qemu-system-x86_64", machineArguments({ folder, state, disk, port }), {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let text = "";
  const take = (chunk: Buffer) => {
    text += chunk.toString();
  };
  qemu.stdout.on("data", take);
  qemu.stderr.on("data", take);
  let failure: string | undefined;
  qemu.once("error", ({ message }) => {
    failure = message;
  });
  const end = Date.now() + bootMs;
  while (!text.includes("LAB READY")) {
    failure ??= qemu.exitCode === null ? undefined : `QEMU ended with ${qemu.exitCode}`;
    if (failure !== undefined || Date.now() > end) {
      qemu.kill("SIGKILL");
      throw new Error(`the guest did not boot: ${failure ?? "too slow"}\n${text.slice(-4000)}`);
    }
    await pause(50);
  }
  return { process: qemu, port, console: () => text };
}

interface Parts {
  readonly folder: string;
  readonly state: string;
  readonly disk: string;
  readonly port: number;
}

/**
 * q35 with an IOMMU; behind root ports of their own: a DFL card of one port, an SR-IOV nvme, a pair of
 * functions that share one IOMMU group, a DFL card of two ports.
 */
function machineArguments({ state, disk, port }: Parts): string[] {
  const share = (id: string, path: string, more: string) => [
    "-fsdev",
    `local,id=${id},path=${path},multidevs=remap,${more}`,
    "-device",
    `virtio-9p-pci,fsdev=${id},mount_tag=${id}fs`,
  ];
  const devices = [
    "intel-iommu,intremap=on,caching-mode=on",
    ...[1, 2, 3, 4].map((slot) => `pcie-root-port,id=rp${slot},chassis=${slot},slot=${slot}`),
    "bochs-display,bus=rp1,id=fpga0",
    "nvme-subsys,id=subsys0",
    "nvme,id=nvme0,serial=deadbeef,subsys=subsys0,bus=rp2,sriov_max_vfs=4,sriov_vq_flexible=8,sriov_vi_flexible=4,max_ioqpairs=10,msix_qsize=9",
    "nvme-ns,drive=nv0,bus=nvme0,nsid=1,shared=on",
    "pci-testdev,bus=rp3,membar=1M,addr=0.0,multifunction=on",
    "pci-testdev,bus=rp3,membar=1M,addr=0.1",
    "bochs-display,bus=rp4,id=fpga1",
    "edu,id=edu0",
  ];
  return [
    ..."-M q35 -accel tcg,thread=multi -cpu max -smp 2 -m 3072 -no-reboot".split(" "),
    ..."-display none -serial stdio -monitor none -vga none -nic".split(" "),
    `user,model=virtio-net-pci,hostfwd=tcp:127.0.0.1:${port}-:7`,
    "-kernel",
    join(built, "vmlinuz"),
    "-initrd",
    join(built, "initrd.gz"),
    "-append",
    "console=ttyS0 intel_iommu=on iomem=relaxed panic=-1 loglevel=4",
    "-drive",
    `file=${disk},if=none,format=raw,id=nv0`,
    ...share("host", "/", "security_model=none,readonly=on"),
    // Owners of files are kept beside them: whoever runs QEMU, the guest's root owns its own.
    ...share("state", state, "security_model=mapped-xattr"),
    ...devices.flatMap((device) => ["-device", device]),
  ];
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

const ended = /\n?LAB-END (\d+)\n$/;

/** Every command has a connection and a shell of its own; the last line is its exit code. */
function inShell(port: number, script: string, ms: number): Promise<Run> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1");
    let text = "";
    const timer = setTimeout(() => {
      socket.destroy();
      reject(new Error(`still running after ${ms} ms: ${script}\n${text.slice(-2000)}`));
    }, ms);
    const settle = (act: () => void) => {
      clearTimeout(timer);
      socket.destroy();
      act();
    };
    socket.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
      const [, code] = ended.exec(text) ?? [];
      // What the script started may live on and keep the connection; the command is over.
      if (code === undefined) return;
      settle(() => resolve({ code: Number(code), text: text.replace(ended, "") }));
    });
    socket.once("error", (error) => settle(() => reject(error)));
    socket.once("end", () => {
      settle(() => reject(new Error(`the guest's shell broke off: ${script}\n${text}`)));
    });
    socket.write(`(\n${script}\n) < /dev/null 2>&1\nended=$?; echo; echo LAB-END $ended; exit\n`);
  });
}

async function halt(qemu: ChildProcess): Promise<void> {
  if (qemu.exitCode !== null || qemu.signalCode !== null) return;
  const gone = new Promise((resolve) => qemu.once("exit", resolve));
  qemu.kill("SIGKILL");
  await gone;
}
