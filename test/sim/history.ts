/** One thing that a client did to a handle, or saw of it, between two moments (ms). */
export interface Act {
  readonly kind: "take" | "see" | "leave";
  readonly claim: string;
  readonly fence: number;
  readonly from: number;
  /** Infinity: nobody knows whether and when it happened. */
  readonly to: number;
}

interface State {
  readonly holder: string | undefined;
  readonly fence: number;
}

/** A handle as one object: it has one holder or none, and each holder's fence is higher. */
function after(state: State, { kind, claim, fence }: Act): State | undefined {
  switch (kind) {
    case "take":
      return state.holder === undefined && fence > state.fence
        ? { holder: claim, fence }
        : undefined;
    case "see":
      return state.holder === claim && state.fence === fence ? state : undefined;
    case "leave":
      return state.holder === claim ? { ...state, holder: undefined } : undefined;
    default:
      return kind satisfies never;
  }
}

/** States that one history may visit before it counts as too tangled to be judged. */
const mostStates = 200_000;

/**
 * Wing and Gong's check: is there an order of the acts, each at some moment between its ends, in
 * which a single handle could have done them all? Acts without an end need not have happened.
 */
export function isLinearizable(acts: readonly Act[]): boolean {
  const open = acts.toSorted((a, b) => a.from - b.from);
  const seen = new Set<string>();
  const search = (left: readonly Act[], state: State): boolean => {
    const earliest = Math.min(...left.map(({ to }) => to));
    if (earliest === Number.POSITIVE_INFINITY) return true;
    const key = `${state.holder}/${left.map((one) => open.indexOf(one)).join()}`;
    if (seen.has(key) || seen.size > mostStates) return seen.size > mostStates;
    seen.add(key);
    return left.some((act, index) => {
      if (act.from > earliest) return false;
      const next = after(state, act);
      return next !== undefined && search(left.toSpliced(index, 1), next);
    });
  };
  return search(open, { holder: undefined, fence: -1 });
}

/** What clients did and saw, handle by handle. */
export class History {
  readonly #taken = new Map<string, Act & { readonly handle: string }>();
  readonly #seen: (Act & { readonly handle: string })[] = [];
  /** The moment by which a claim was over. */
  readonly #over = new Map<string, number>();

  /** An answer said that a claim has a handle; the first such answer tells when it was taken. */
  held(at: { handle: string; claim: string; fence: number }, from: number, to: number): void {
    const { handle, claim, fence } = at;
    if (this.#taken.has(claim)) {
      this.#seen.push({ kind: "see", handle, claim, fence, from, to });
      return;
    }
    this.#taken.set(claim, { kind: "take", handle, claim, fence, from, to });
  }

  /** A claim was seen to be over. */
  over(claim: string, to: number): void {
    this.#over.set(claim, Math.min(to, this.#over.get(claim) ?? to));
  }

  /** Handles whose acts no single handle could have done. */
  broken(): readonly string[] {
    const byHandle = new Map<string, Act[]>();
    const add = (handle: string, act: Act) => {
      byHandle.set(handle, [...(byHandle.get(handle) ?? []), act]);
    };
    for (const act of this.#taken.values()) {
      add(act.handle, act);
      add(act.handle, this.#leaving(act));
    }
    for (const act of this.#seen) add(act.handle, act);
    return [...byHandle].flatMap(([handle, acts]) => (isLinearizable(acts) ? [] : [handle]));
  }

  #leaving({ claim, fence, from }: Act): Act {
    const to = this.#over.get(claim) ?? Number.POSITIVE_INFINITY;
    // A bind may fail by itself at any moment: what was seen later puts its end behind that.
    return { kind: "leave", claim, fence, from, to };
  }
}
