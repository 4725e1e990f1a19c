import type { ChildFrame } from "./child-request.ts";

/** A frame with the payload that came behind it. */
export interface WholeFrame {
  readonly request: ChildFrame["request"];
  readonly payload: Buffer;
}

interface OpenFrame {
  readonly request: ChildFrame["request"];
  readonly payload: Buffer;
  filled: number;
}

/** Cuts a byte stream into frames: a line of JSON, then the bytes it announces. */
export async function* framesOf(input: AsyncIterable<Buffer>): AsyncGenerator<WholeFrame> {
  let rest: Buffer = Buffer.alloc(0);
  let open: OpenFrame | undefined;
  for await (const chunk of input) {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    for (open ??= begin(rest); open; open = begin(rest)) {
      rest = fill(open, rest);
      if (open.filled < open.payload.length) break;
      yield open;
    }
  }

  /** The frame whose line is whole; cuts the line off. */
  function begin(bytes: Buffer): OpenFrame | undefined {
    const end = bytes.indexOf(0x0a);
    if (end < 0) return undefined;
    const frame = JSON.parse(bytes.subarray(0, end).toString()) as ChildFrame;
    rest = bytes.subarray(end + 1);
    return { request: frame.request, payload: Buffer.allocUnsafeSlow(frame.bytes), filled: 0 };
  }
}

function fill(frame: OpenFrame, bytes: Buffer): Buffer {
  const copied = bytes.copy(frame.payload, frame.filled);
  frame.filled += copied;
  return bytes.subarray(copied);
}

/** A frame's line; its payload is to be sent behind it. */
export function frameLine(frame: ChildFrame): string {
  return `${JSON.stringify(frame)}\n`;
}
