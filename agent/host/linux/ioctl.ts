import { closeSync, constants, openSync } from "node:fs";
import { constants as osConstants } from "node:os";

/** Numbers of linux/fpga-dfl.h (host.md §2.1). */
const portPr = 0xb680;
const portRelease = 0x4004b681;
const portAssign = 0x4004b682;

/** `struct dfl_fpga_fme_port_pr`: argsz, flags, port_id, buffer_size, buffer_address. */
const prBytes = 24;

const {
  O_RDWR,
  O_EXCL,
  O_CLOEXEC = 0,
} = constants as typeof constants & {
  readonly O_CLOEXEC?: number;
};

type Ioctl = (fd: number, request: number, argument: Buffer) => number;

interface Library {
  readonly ioctl: Ioctl;
  readonly errno: () => number;
  readonly address: (buffer: Buffer) => bigint;
}

/** Loads the one foreign function; only a child does so, never the agent. */
export async function loadIoctl(): Promise<Library> {
  const koffi = (await import("koffi")).default;
  const libc = koffi.load("libc.so.6");
  const ioctl = libc.func("int ioctl(int fd, unsigned long request, void *argument)");
  return {
    ioctl: (fd, request, argument) => Number(ioctl(fd, request, argument)),
    errno: () => koffi.errno(),
    address: (buffer) => koffi.address(buffer),
  };
}

/** Programs one port. The port's node stays open exclusively, so that no process can take it. */
export function programPort(
  library: Library,
  place: { readonly engine: string; readonly port: number; readonly node?: string },
  bitstream: Buffer,
): void {
  const argument = Buffer.alloc(prBytes);
  argument.writeUInt32LE(prBytes, 0);
  argument.writeUInt32LE(place.port, 8);
  argument.writeUInt32LE(bitstream.length, 12);
  argument.writeBigUInt64LE(library.address(bitstream), 16);
  const port = place.node === undefined ? undefined : open(place.node);
  try {
    call(library, place.engine, portPr, argument);
  } finally {
    if (port !== undefined) closeSync(port);
  }
}

/** Takes a port from the PF for a VF, or gives it back. */
export function movePort(
  library: Library,
  verb: "release" | "assign",
  place: { readonly engine: string; readonly port: number },
): void {
  const argument = Buffer.alloc(4);
  argument.writeInt32LE(place.port);
  call(library, place.engine, verb === "release" ? portRelease : portAssign, argument);
}

/** O_EXCL on these nodes is a real lock: a second open fails with EBUSY (host.md §2.1). */
function open(node: string): number {
  return openSync(node, O_RDWR | O_EXCL | O_CLOEXEC);
}

function call(library: Library, engine: string, request: number, argument: Buffer): void {
  const fd = open(engine);
  try {
    if (library.ioctl(fd, request, argument) >= 0) return;
    const code = errnoName(library.errno());
    throw Object.assign(new Error(`${code}: ioctl 0x${request.toString(16)} ${engine}`), { code });
  } finally {
    closeSync(fd);
  }
}

function errnoName(number: number): string {
  const names = Object.entries(osConstants.errno);
  return names.find(([, value]) => value === number)?.[0] ?? `E${number}`;
}
