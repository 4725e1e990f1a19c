import { claimEvents, deployableEvents, quotaEvents } from "#domain/audit";
import type { Claim } from "#domain/claim";
import type { Deployable } from "#domain/deployable";
import type { HistoryEvent } from "#domain/history/verdict";
import type { Quota } from "#domain/quota";

type Rows = {
  readonly claim?: readonly [Claim | undefined, Claim | undefined];
  readonly deployable?: readonly [Deployable | undefined, Deployable];
  readonly quota?: readonly [Quota | undefined, Quota];
};

/** Keeps the audit of changes as the stream's function would write it. */
export function recorder() {
  const events: HistoryEvent[] = [];
  let changes = 0;
  return {
    events,
    /** One write of up to three rows, at a time in ms. */
    write: (at: number, rows: Rows): void => {
      for (const told of [
        rows.deployable === undefined ? [] : deployableEvents(...rows.deployable),
        rows.claim === undefined ? [] : claimEvents(...rows.claim),
        rows.quota === undefined ? [] : quotaEvents(...rows.quota),
      ]) {
        changes += 1;
        events.push(...told.map((event, index) => ({ ...event, at, id: `e${changes}-${index}` })));
      }
    },
  };
}

/** A native claim's row. */
export function claimRow(facts: Partial<Claim> = {}): Claim {
  return {
    id: "c1",
    project: "p1",
    user: "u1",
    state: "BindStarted",
    resourceClass: "CUSTOM_FPGA_INTEL_PF",
    createdAt: 0,
    updatedAt: 0,
    ...facts,
  };
}
