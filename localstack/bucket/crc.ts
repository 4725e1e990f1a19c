const crc32cTable = table32(0x82f63b78);
const crc64Tables = tables64(0x9a6c9329, 0xac4bc9b5);

/** CRC-32C (Castagnoli) of `data`, going on from `previous`; 0 starts. */
export function crc32c(data: Uint8Array, previous: number): number {
  let crc = ~previous;
  for (const byte of data) crc = (crc32cTable[(crc ^ byte) & 0xff] ?? 0) ^ (crc >>> 8);
  return ~crc >>> 0;
}

/** A CRC-64 as two unsigned halves; BigInt would be some thirty times slower. */
export interface Crc64 {
  readonly high: number;
  readonly low: number;
}

/** CRC-64/NVME of `data`, going on from `previous`; both halves 0 start. */
export function crc64nvme(data: Uint8Array, previous: Crc64): Crc64 {
  const { highs, lows } = crc64Tables;
  let high = ~previous.high;
  let low = ~previous.low;
  for (const byte of data) {
    const index = (low ^ byte) & 0xff;
    low = ((low >>> 8) | (high << 24)) ^ (lows[index] ?? 0);
    high = (high >>> 8) ^ (highs[index] ?? 0);
  }
  return { high: ~high >>> 0, low: ~low >>> 0 };
}

function table32(polynomial: number): Uint32Array {
  return Uint32Array.from({ length: 256 }, (_, index) => {
    let crc = index;
    for (let bit = 0; bit < 8; bit += 1) crc = crc & 1 ? (crc >>> 1) ^ polynomial : crc >>> 1;
    return crc >>> 0;
  });
}

function tables64(polynomialHigh: number, polynomialLow: number) {
  const highs = new Uint32Array(256);
  const lows = new Uint32Array(256);
  for (let index = 0; index < 256; index += 1) {
    let high = 0;
    let low = index;
    for (let bit = 0; bit < 8; bit += 1) {
      const odd = low & 1;
      low = ((low >>> 1) | (high << 31)) ^ (odd ? polynomialLow : 0);
      high = (high >>> 1) ^ (odd ? polynomialHigh : 0);
    }
    highs[index] = high;
    lows[index] = low;
  }
  return { highs, lows };
}
