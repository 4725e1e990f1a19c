/**
 * Lifecycles as data. `next(table, state, event)` is the new state or undefined: an illegal move is
 * a value, never an exception.
 */
export type Lifecycle<State extends string, Event extends string> = {
  readonly [From in State]: { readonly [On in Event]?: State };
};

/** The state after `event`, or undefined when the event is not legal in `state`. */
export function next<State extends string, Event extends string>(
  table: Lifecycle<State, Event>,
  state: State,
  event: Event,
): State | undefined {
  return table[state][event];
}

/** Cyborg's claim states (reference/cyborg.md §2). */
export const claimStates = [
  "Initial",
  "BindStarted",
  "Bound",
  "Unbound",
  "BindFailed",
  "Deleting",
] as const;
export type ClaimState = (typeof claimStates)[number];
export type ClaimEvent = "bind" | "bound" | "bindFailed" | "unbind" | "delete";

export const claimLifecycle: Lifecycle<ClaimState, ClaimEvent> = {
  Initial: { bind: "BindStarted", unbind: "Unbound", delete: "Deleting" },
  BindStarted: {
    bound: "Bound",
    bindFailed: "BindFailed",
    unbind: "Unbound",
    delete: "Deleting",
  },
  Bound: { bindFailed: "BindFailed", unbind: "Unbound", delete: "Deleting" },
  Unbound: { bind: "BindStarted", delete: "Deleting" },
  BindFailed: { unbind: "Unbound", delete: "Deleting" },
  Deleting: { delete: "Deleting" },
};

export type HandleState = "free" | "claimed" | "plugged" | "releasing";
export type HandleEvent = "claim" | "plugged" | "unplugged" | "release" | "proven clean";

export const handleLifecycle: Lifecycle<HandleState, HandleEvent> = {
  free: { claim: "claimed" },
  claimed: { plugged: "plugged", unplugged: "claimed", release: "releasing" },
  plugged: { plugged: "plugged", unplugged: "claimed", release: "releasing" },
  releasing: { "proven clean": "free" },
};

export type ImageState = "pending" | "verifying" | "active" | "rejected" | "retired";
export type ImageEvent =
  | "uploaded"
  | "accepted"
  | "refused"
  | "signed"
  | "again"
  | "withhold"
  | "resume"
  | "retire";

/**
 * A refused image comes back by a signature that was missing, `signed`, when its judgement never
 * came to an end, `again`, or when the Glance it came
 * from offers it again, `resume`: then it is judged anew, because a key may have been revoked
 * meanwhile.
 */
export const imageLifecycle: Lifecycle<ImageState, ImageEvent> = {
  pending: {
    uploaded: "verifying",
    refused: "rejected",
    withhold: "rejected",
    retire: "retired",
  },
  verifying: {
    uploaded: "verifying",
    accepted: "active",
    refused: "rejected",
    withhold: "rejected",
    retire: "retired",
  },
  active: { refused: "rejected", withhold: "rejected", retire: "retired" },
  rejected: { signed: "verifying", again: "verifying", resume: "pending", retire: "retired" },
  retired: {},
};

export type HostState = "joined" | "online" | "offline" | "drained" | "removed";
export type HostEvent = "join" | "hello" | "silent" | "drain" | "activate" | "remove";

/** `joined` = known but never heard. A drained host that is activated waits for its next hello. */
export const hostLifecycle: Lifecycle<HostState, HostEvent> = {
  joined: { join: "joined", hello: "online", drain: "drained", remove: "removed" },
  online: { hello: "online", silent: "offline", drain: "drained", remove: "removed" },
  offline: { join: "offline", hello: "online", drain: "drained", remove: "removed" },
  drained: { hello: "drained", silent: "drained", activate: "offline", remove: "removed" },
  removed: {},
};
