/** The candidate nearest to `word`, if it is near enough to be what was meant. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  const scored = candidates.map((candidate) => ({ candidate, cost: distance(word, candidate) }));
  const best = scored.toSorted((a, b) => a.cost - b.cost)[0];
  // A third of the letters wrong is still a slip; more is another word.
  const allowed = Math.max(1, Math.floor(word.length / 3) + 1);
  return best !== undefined && best.cost <= allowed ? best.candidate : undefined;
}

/** `; did you mean x?` or nothing. */
export function didYouMean(word: string, candidates: readonly string[], prefix = ""): string {
  const candidate = nearest(word, candidates);
  return candidate === undefined ? "" : `; did you mean ${prefix}${candidate}?`;
}

/** Edits between two words: insert, delete, replace, swap of neighbours (optimal string alignment). */
function distance(a: string, b: string): number {
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, column) => column)];
  const at = (row: number, column: number) => rows[row]?.[column] ?? 0;
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    rows.push(current);
    for (let column = 1; column <= b.length; column++) {
      const replace = at(row - 1, column - 1) + (a[row - 1] === b[column - 1] ? 0 : 1);
      const swapped =
        row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1];
      const swap = swapped ? at(row - 2, column - 2) + 1 : Infinity;
      current.push(Math.min(at(row - 1, column) + 1, at(row, column - 1) + 1, replace, swap));
    }
  }
  return at(a.length, b.length);
}
