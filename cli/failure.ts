import { Fault, faults, isFaultCode } from "#domain/faults";

/**
 * A failure that arrived from the service: in a problem document or as the reason of a claim, an
 * image or an operation. `code` may be newer than this table; `exit` is then taken from the status.
 */
export class Failure extends Error {
  readonly code: string;
  readonly exit: number;
  /** Every member of the problem document. */
  readonly facts: Readonly<Record<string, unknown>>;

  constructor(
    trouble: { readonly code: string; readonly message: string },
    facts: Readonly<Record<string, unknown>> = {},
  ) {
    super(trouble.message);
    this.name = "Failure";
    this.code = trouble.code;
    this.exit = exitOfCode(trouble.code, facts["status"]);
    this.facts = facts;
  }
}

/** The user stopped the command; `again` is how to see what became of it. */
export class Interrupted extends Error {
  readonly again: string;

  constructor(again: string) {
    super("interrupted");
    this.name = "Interrupted";
    this.again = again;
  }
}

/** 128 + SIGINT, as shells report it. */
const interruptedExit = 130;

/** The exit class of any error: 2 to 9 by faults.ts, 130 for an interrupt, 1 for the unexpected. */
export function exitOf(error: unknown): number {
  if (error instanceof Failure) return error.exit;
  if (error instanceof Fault) return faults[error.code].exit;
  return error instanceof Interrupted ? interruptedExit : 1;
}

/** INVALID_REQUEST for what was typed: `text` in full, `field` naming the flag or member. */
export function usage(text: string, field?: string, expected?: string): Fault {
  return new Fault("INVALID_REQUEST", text, {
    ...(field === undefined ? {} : { field }),
    ...(expected === undefined ? {} : { expected }),
  });
}

const exitByStatus: ReadonlyMap<number, number> = new Map([
  [401, 3],
  [403, 3],
  [404, 4],
  [409, 5],
  [429, 9],
]);

function exitOfCode(code: string, status: unknown): number {
  if (isFaultCode(code)) return faults[code].exit;
  if (typeof status !== "number") return 1;
  const known = exitByStatus.get(status);
  if (known !== undefined) return known;
  if (status >= 500) return 9;
  return status >= 400 ? 2 : 1;
}
