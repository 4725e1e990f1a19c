import { Fault } from "#domain/faults";
import { withDeadline } from "../../host/deadline.ts";
import type { Sleep } from "../../runtime.ts";

/** CARD_STUCK whose operation still runs; `ended` settles when it is over, and never rejects. */
export class StillRunning extends Fault {
  readonly ended: Promise<void>;

  constructor(ms: number, ended: Promise<void>) {
    super("CARD_STUCK", `the hardware operation did not end within ${Math.round(ms / 1000)} s`);
    this.ended = ended;
  }
}

/** The act's own result, or {@link StillRunning} when it takes longer than `ms`. */
export function watched(act: Promise<void>, ms: number, sleep: Sleep): Promise<void> {
  const ended = act.then(
    () => undefined,
    () => undefined,
  );
  return withDeadline(act, { ms, sleep, late: () => new StillRunning(ms, ended) });
}
