import type { Context } from "aws-lambda";

/** Settings by name, as in `process.env`. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** A function as Lambda calls it. A rejection is a failed invocation. */
export type Handler<Event = unknown, Result = unknown> = (
  event: Event,
  context: Context,
) => Promise<Result>;

/** Builds a handler from its settings, without I/O. Throws when a setting is missing or wrong. */
export type Create<Event = unknown, Result = unknown> = (
  environment: Environment,
) => Handler<Event, Result>;

/**
 * The handler AWS calls: built from `process.env` on first use, so that importing an entry file has
 * no effects and a wrong setting fails the invocation with its reason instead of the start.
 */
export function entry<Event, Result>(create: Create<Event, Result>): Handler<Event, Result> {
  let built: Handler<Event, Result> | undefined;
  return async (event, context) => {
    built ??= create(process.env);
    return built(event, context);
  };
}
