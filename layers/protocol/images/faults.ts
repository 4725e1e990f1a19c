import { Fault } from "#domain/faults";

/** IMAGE_HEADER_INVALID: `field` breaks the rule that `expected` states. */
export function headerInvalid(field: string, expected: string): Fault {
  return new Fault("IMAGE_HEADER_INVALID", `The image's ${field} is not ${expected}`, {
    field,
    expected,
  });
}

/** IMAGE_TRUNCATED: the bytes end inside `field`, which needs what `expected` states. */
export function truncated(field: string, expected: string): Fault {
  return new Fault("IMAGE_TRUNCATED", `The image ends inside its ${field}`, { field, expected });
}

/** INVALID_REQUEST: what the caller gave as `field` is not what `expected` states. */
export function partInvalid(field: string, expected: string): Fault {
  return new Fault("INVALID_REQUEST", `The ${field} is not ${expected}`, { field, expected });
}

/**
 * Throws IMAGE_TRUNCATED unless `head` holds every byte below `end`.
 * Each read of a hostile header is preceded by this, so no read can leave the buffer.
 */
export function requireBytes(head: Uint8Array, end: number, field: string): void {
  if (head.length < end) throw truncated(field, `at least ${end} bytes`);
}

/**
 * Checks that `fileSize` (bytes) can be the size of a file that starts with `head`.
 * Throws IMAGE_HEADER_INVALID when it is no such number.
 */
export function requireFileSize(head: Uint8Array, fileSize: number): void {
  if (!Number.isSafeInteger(fileSize) || fileSize < head.length) {
    throw headerInvalid("fileSize", "a whole number that covers the given bytes");
  }
}
