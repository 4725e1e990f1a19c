/**
 * Linearizability of one handle by the clients' own clocks (Wing and Gong, with Lowe's memory of seen
 * configurations): is there an order of the operations, each at one point between its call and its
 * answer, in which the handle never has two claims and fences rise?
 */

/** One operation of a client on one handle. Without `returned` its answer was never seen. */
export interface Operation {
  readonly id: string;
  /** `claim` was granted this handle under `fence`; `release` gave it back. */
  readonly act: "claim" | "release";
  readonly claim: string;
  readonly fence?: number | undefined;
  readonly invoked: number;
  readonly returned?: number | undefined;
}

/** The handle as the operations so far have left it. */
interface State {
  readonly holder: string | undefined;
  readonly fence: number;
}

/** `order` is a legal order; without one, `stuck` are those that none of the longest orders could place. */
export type Linearization =
  | { readonly legal: true; readonly order: readonly Operation[] }
  | { readonly legal: false; readonly stuck: readonly Operation[] };

const start: State = { holder: undefined, fence: -1 };

/** The state after an operation, or undefined where a handle could not have answered so. */
function apply({ holder, fence }: State, operation: Operation): State | undefined {
  if (operation.act === "release") {
    return holder === operation.claim ? { holder: undefined, fence } : undefined;
  }
  const granted = operation.fence;
  // An answer that was never seen leaves its fence unknown: it is as low as it can be.
  const isRising = granted === undefined || granted > fence;
  return holder === undefined && isRising
    ? { holder: operation.claim, fence: granted ?? fence }
    : undefined;
}

/** One choice of the search: which operation was placed last, and what is still to be tried here. */
interface Frame {
  readonly state: State;
  readonly placed: Operation | undefined;
  readonly candidates: readonly Operation[];
  next: number;
}

/**
 * Looks for a legal order. Time grows with the number of operations, and exponentially only with how
 * many overlap at once; an operation without an answer overlaps all that come after it.
 */
export function linearize(operations: readonly Operation[]): Linearization {
  const sorted = operations.toSorted((one, other) => one.invoked - other.invoked);
  const done = new Set<Operation>();
  const seen = new Set<string>();
  const numbers = new Map(sorted.map((operation, index) => [operation, index]));
  const frames: Frame[] = [frameOf(start, undefined, sorted, done)];
  let longest = 0;
  let stuck: readonly Operation[] = sorted;
  while (frames.length > 0) {
    const frame = frames.at(-1);
    if (frame === undefined || isOver(sorted, done)) break;
    const operation = frame.candidates[frame.next];
    frame.next += 1;
    if (operation === undefined) {
      frames.pop();
      if (frame.placed !== undefined) done.delete(frame.placed);
      continue;
    }
    const state = apply(frame.state, operation);
    if (state === undefined) continue;
    done.add(operation);
    const key = keyOf(sorted, done, state, numbers);
    if (seen.has(key)) {
      done.delete(operation);
      continue;
    }
    seen.add(key);
    if (done.size > longest) {
      longest = done.size;
      stuck = sorted.filter((one) => !done.has(one) && one.returned !== undefined);
    }
    frames.push(frameOf(state, operation, sorted, done));
  }
  if (frames.length === 0) return { legal: false, stuck };
  return { legal: true, order: frames.flatMap(({ placed }) => placed ?? []) };
}

/** All that was answered has its place; what was not may never have happened. */
function isOver(sorted: readonly Operation[], done: ReadonlySet<Operation>): boolean {
  return sorted.every((one) => one.returned === undefined || done.has(one));
}

/** May come next: called before any other that is not placed yet was answered. */
function frameOf(
  state: State,
  placed: Operation | undefined,
  sorted: readonly Operation[],
  done: ReadonlySet<Operation>,
): Frame {
  let firstAnswer = Number.POSITIVE_INFINITY;
  const candidates: Operation[] = [];
  for (const one of sorted) {
    if (one.invoked > firstAnswer) break;
    if (done.has(one)) continue;
    candidates.push(one);
    firstAnswer = Math.min(firstAnswer, one.returned ?? Number.POSITIVE_INFINITY);
  }
  return {
    state,
    placed,
    candidates: candidates.filter((one) => one.invoked <= firstAnswer),
    next: 0,
  };
}

/** Where the search stands: all before the first open operation is placed, so only the rest is named. */
function keyOf(
  sorted: readonly Operation[],
  done: ReadonlySet<Operation>,
  state: State,
  numbers: ReadonlyMap<Operation, number>,
): string {
  const open = sorted.findIndex((one) => !done.has(one));
  const from = open === -1 ? sorted.length : open;
  const ahead = [...done].map((one) => numbers.get(one) ?? 0).filter((number) => number > from);
  return `${state.holder} ${state.fence} ${from} ${ahead.toSorted((a, b) => a - b).join(",")}`;
}
