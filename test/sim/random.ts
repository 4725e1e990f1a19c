/** A stream of random numbers that follows from a seed and a name alone. */
export interface Random {
  /** Uniform in [0, 1). */
  readonly next: () => number;
  /** Whole number from 0 to `below` - 1. */
  readonly below: (below: number) => number;
  readonly chance: (probability: number) => boolean;
  /** One of a list; throws when it is empty. */
  readonly of: <Value>(list: readonly Value[]) => Value;
}

/** Makes streams; two of different names know nothing of each other. */
export type Streams = (name: string) => Random;

/**
 * Streams of one seed. A part that draws more or less than before moves no other part's numbers,
 * so a shortened run stays close to the one it was cut from.
 */
export function streamsOf(seed: number): Streams {
  return (name) => randomFrom(hashOf(`${seed}/${name}`));
}

/** FNV-1a over UTF-16 units, 32 bits. */
export function hashOf(text: string, start = 0x811c9dc5): number {
  let hash = start;
  for (let index = 0; index < text.length; index += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  }
  return hash >>> 0;
}

/** sfc32 by Chris Doty-Humphrey: small, fast, passes PractRand. */
function randomFrom(seed: number): Random {
  let [a, b, c, d] = [seed, hashOf(String(seed)), 0x9e3779b9, 1];
  const next = () => {
    const sum = (((a + b) | 0) + d) | 0;
    d = (d + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    return (sum >>> 0) / 0x1_0000_0000;
  };
  for (let round = 0; round < 12; round += 1) next();
  const below = (limit: number) => Math.floor(next() * limit);
  return {
    next,
    below,
    chance: (probability) => probability > 0 && next() < probability,
    of: (list) => {
      const index = below(list.length);
      const chosen = list[index];
      if (chosen === undefined) throw new RangeError("nothing to choose from");
      return chosen;
    },
  };
}
