/**
 * Watches the bytes a client sends over a WebSocket and calls `tooLarge` for the first frame whose
 * header announces more than `limit` bytes. The socket library only knows whole messages.
 */
export function watchFrames(limit: number, tooLarge: () => void): (chunk: Buffer) => void {
  let header = Buffer.alloc(0);
  let remaining = 0;
  return (chunk) => {
    let offset = 0;
    while (offset < chunk.length) {
      if (remaining > 0) {
        const step = Math.min(remaining, chunk.length - offset);
        remaining -= step;
        offset += step;
        continue;
      }
      header = Buffer.concat([header, chunk.subarray(offset, offset + 1)]);
      offset += 1;
      const length = announced(header);
      if (length === undefined) continue;
      header = Buffer.alloc(0);
      remaining = length.payload;
      if (length.payload > limit) tooLarge();
    }
  };
}

// RFC 6455 §5.2: 7-bit length, then 2 or 8 more bytes, then 4 bytes of mask.
function announced(header: Buffer): { readonly payload: number } | undefined {
  const second = header[1];
  if (second === undefined) return undefined;
  const short = second & 0x7f;
  const extended = short === 126 ? 2 : short === 127 ? 8 : 0;
  const mask = (second & 0x80) === 0 ? 0 : 4;
  if (header.length < 2 + extended + mask) return undefined;
  if (extended === 0) return { payload: short };
  if (extended === 2) return { payload: header.readUInt16BE(2) };
  return { payload: Number(header.readBigUInt64BE(2)) };
}
