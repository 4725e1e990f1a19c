/** One file of an archive. Times and owners are always the same, so that equal files make equal bytes. */
export interface TarEntry {
  /** Relative path with `/`, at most 100 bytes. */
  readonly path: string;
  readonly mode: number;
  readonly bytes: Uint8Array;
}

const blockBytes = 512;
/** 2000-01-01T00:00:00Z in seconds. */
const mtime = Date.UTC(2000, 0, 1) / 1000;

/** A ustar archive of plain files, sorted by path. Throws RangeError for a path that is too long. */
export function tarOf(entries: readonly TarEntry[]): Buffer {
  const sorted = [...entries].sort((one, other) => (one.path < other.path ? -1 : 1));
  const blocks = sorted.flatMap((entry) => [
    header(entry),
    entry.bytes,
    Buffer.alloc(-entry.bytes.length & (blockBytes - 1)),
  ]);
  return Buffer.concat([...blocks, Buffer.alloc(2 * blockBytes)]);
}

function header({ path, mode, bytes }: TarEntry): Buffer {
  if (Buffer.byteLength(path) > 100) throw new RangeError(`too long for a tar header: ${path}`);
  const block = Buffer.alloc(blockBytes);
  const octal = (value: number, at: number, digits: number) =>
    block.write(`${value.toString(8).padStart(digits, "0")}\0`, at, "latin1");
  block.write(path, 0);
  octal(mode, 100, 7);
  octal(0, 108, 7);
  octal(0, 116, 7);
  octal(bytes.length, 124, 11);
  octal(mtime, 136, 11);
  block.write("0", 156);
  block.write("ustar\x0000", 257, "latin1");
  block.write("root", 265);
  block.write("root", 297);
  block.fill(" ", 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return block;
}
