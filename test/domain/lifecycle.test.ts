import { describe, expect, it } from "vitest";
import {
  claimLifecycle,
  handleLifecycle,
  hostLifecycle,
  imageLifecycle,
  type Lifecycle,
  next,
} from "#domain/lifecycle";

/** Every legal move as `from event to`; whatever is not here is illegal. */
const claimMoves = `
Initial bind BindStarted
Initial unbind Unbound
Initial delete Deleting
BindStarted bound Bound
BindStarted bindFailed BindFailed
BindStarted unbind Unbound
BindStarted delete Deleting
Bound bindFailed BindFailed
Bound unbind Unbound
Bound delete Deleting
Unbound bind BindStarted
Unbound delete Deleting
BindFailed unbind Unbound
BindFailed delete Deleting
Deleting delete Deleting`;

const handleMoves = `
free claim claimed
claimed plugged plugged
claimed unplugged claimed
claimed release releasing
plugged plugged plugged
plugged unplugged claimed
plugged release releasing
releasing proven_clean free`;

const imageMoves = `
pending uploaded verifying
pending refused rejected
pending withhold rejected
pending retire retired
verifying uploaded verifying
verifying accepted active
verifying refused rejected
verifying withhold rejected
verifying retire retired
active refused rejected
active withhold rejected
active retire retired
rejected signed verifying
rejected resume pending
rejected retire retired`;

const hostMoves = `
joined join joined
joined hello online
joined drain drained
joined remove removed
online hello online
online silent offline
online drain drained
online remove removed
offline join offline
offline hello online
offline drain drained
offline remove removed
drained hello drained
drained silent drained
drained activate offline
drained remove removed`;

const events = {
  claim: ["bind", "bound", "bindFailed", "unbind", "delete"],
  handle: ["claim", "plugged", "unplugged", "release", "proven clean"],
  image: ["uploaded", "accepted", "refused", "signed", "withhold", "resume", "retire"],
  host: ["join", "hello", "silent", "drain", "activate", "remove"],
};

describe.each([
  ["claim", claimLifecycle, claimMoves],
  ["handle", handleLifecycle, handleMoves],
  ["image", imageLifecycle, imageMoves],
  ["host", hostLifecycle, hostMoves],
] as const)("the lifecycle of a %s", (name, table, legal) => {
  const moves = new Map(
    legal
      .trim()
      .split("\n")
      .map((line) => line.split(" "))
      .map(([from, event, to]) => [`${from} ${event?.replace("_", " ")}`, to]),
  );
  const lifecycle = table as Lifecycle<string, string>;
  const states = Object.keys(lifecycle);
  const pairs = states.flatMap((state) => events[name].map((event) => [state, event] as const));

  it.each(pairs)("in %s on '%s' does exactly what is listed", (state, event) => {
    expect(next(lifecycle, state, event)).toBe(moves.get(`${state} ${event}`));
  });

  it("lists no move of an unknown state or event", () => {
    expect(
      [...moves.keys()].filter((key) => !pairs.some((pair) => pair.join(" ") === key)),
    ).toEqual([]);
  });
});
