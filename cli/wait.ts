import { Fault } from "#domain/faults";
import type { Context, Flag } from "./command.ts";
import { Interrupted } from "./failure.ts";

/** A claim is bound or failed after 240 s at the latest (design §5), with room for a queue. */
const defaultSeconds = 300;
const firstPauseMs = 250;
const longestPauseMs = 2000;

/** The flag of every command that can wait. */
export const waitTimeoutFlag: Flag = {
  name: "wait-timeout",
  kind: "seconds",
  value: "SECONDS",
  help: `Longest wait (${defaultSeconds})`,
};

/** What to wait for. */
export interface Wait<View> {
  readonly look: () => Promise<View>;
  readonly done: (view: View) => boolean;
  /** Shows progress of a view that is not done. */
  readonly show: (view: View) => void;
  /** The command that shows the state later, such as `gatehouse claims show 1`. */
  readonly again: string;
  readonly seconds?: number | undefined;
}

/**
 * Looks again and again until the view is done. The service is never told to stop: an interrupt or
 * the time limit only ends the looking. Throws Interrupted, TRY_AGAIN and what `look` throws.
 */
export async function waitFor<View>({ io }: Context, wait: Wait<View>): Promise<View> {
  const seconds = wait.seconds ?? defaultSeconds;
  const endsAt = io.now().getTime() + seconds * 1000;
  for (let pause = firstPauseMs; ; pause = Math.min(longestPauseMs, pause * 1.5)) {
    if (io.interrupted.aborted) throw new Interrupted(lookAgain(wait.again));
    const view = await lookOnce(wait);
    if (wait.done(view)) return view;
    wait.show(view);
    if (io.now().getTime() >= endsAt) {
      throw new Fault("TRY_AGAIN", `Not done after ${seconds} s`, { hint: lookAgain(wait.again) });
    }
    await io.sleep(pause, io.interrupted);
  }
}

async function lookOnce<View>(wait: Wait<View>): Promise<View> {
  try {
    return await wait.look();
  } catch (error) {
    if (error instanceof Interrupted) throw new Interrupted(lookAgain(wait.again));
    throw error;
  }
}

function lookAgain(command: string): string {
  return `it goes on without you; look again with: ${command}`;
}
