/** Answers that are believed for a while. */
export interface Memory<Value> {
  readonly recall: (key: string) => Value | undefined;
  readonly keep: (key: string, value: Value, until: number) => void;
}

/** Keeps the `most` newest values, each until its time (ms, as `now` tells them). */
export function rememberUntil<Value>(most: number, now: () => number): Memory<Value> {
  const kept = new Map<string, { readonly value: Value; readonly until: number }>();
  return {
    recall: (key) => {
      const known = kept.get(key);
      if (known === undefined || now() < known.until) return known?.value;
      kept.delete(key);
      return undefined;
    },
    keep: (key, value, until) => {
      if (until <= now()) return;
      kept.delete(key);
      kept.set(key, { value, until });
      const [oldest] = kept.keys();
      if (kept.size > most && oldest !== undefined) kept.delete(oldest);
    },
  };
}
