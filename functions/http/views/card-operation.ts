import type { CardOperation } from "#domain/card";
import type { CardOperationView } from "#protocol/http/cards";
import { present, timeOf } from "../views.ts";

/** An operation on a card. */
export function cardOperationView(operation: CardOperation): CardOperationView {
  const { requestedAt, deadline, updatedAt, error, ...facts } = operation;
  return present({
    ...facts,
    error: error && { ...error },
    requestedAt: timeOf(requestedAt),
    deadline: timeOf(deadline),
    updatedAt: timeOf(updatedAt),
  }) as CardOperationView;
}
