import type { OperationId } from "#protocol/http/routes";
import type { Answer, Request } from "./api.ts";
import type { Argument, Command } from "./command.ts";
import { objectOutput } from "./output.ts";

/** Operations on one object that need no body and answer with an object. */
type ObjectId = {
  [Id in OperationId]: Request<Id>["body"] extends undefined
    ? Answer<Id> extends object
      ? Id
      : never
    : never;
}[OperationId];

/** A command that is one call with the object's id, such as show, revoke or drain. */
export function objectCommand<Id extends ObjectId>(spec: {
  readonly words: readonly string[];
  readonly summary: string;
  readonly detail?: string;
  readonly operation: Id;
  /** The path's parameter, as in the route. */
  readonly param: string;
  readonly argument: Argument;
  readonly id: (answer: Answer<Id>) => string;
}): Command {
  return {
    words: spec.words,
    summary: spec.summary,
    ...(spec.detail === undefined ? {} : { detail: spec.detail }),
    arguments: [spec.argument],
    calls: [spec.operation],
    async run({ api }, input) {
      const params = { [spec.param]: input.argument(spec.argument.name) };
      const answer = await api.call(spec.operation, { params });
      return objectOutput(answer as Answer<Id> & object, spec.id(answer));
    },
  };
}
