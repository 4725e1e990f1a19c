import { checkCardRequest } from "#domain/card";
import { Fault } from "#domain/faults";
import type { Device } from "#domain/host";
import type { CardRequestBody } from "#protocol/http/cards";
import { isUuid, uuidOf } from "#protocol/uuid";
import { beginOperation, readOperation } from "#store/cards";
import type { Store } from "#store/store";
import { onlyOnce } from "../parts/once.ts";
import type { Answer, Call } from "./call.ts";
import { cardOperationView } from "./views/card-operation.ts";

/**
 * Begins an operation on a card; the answer is 202 with the operation. INVALID_REQUEST, IN_USE with
 * the claim in the way, WRONG_STATE, HOST_OFFLINE, IDEMPOTENCY_MISMATCH, TRY_AGAIN.
 */
export async function operateDevice(
  store: Store,
  { id: device, host }: Device,
  { body, once }: Call<CardRequestBody>,
): Promise<Answer> {
  checkCardRequest(body);
  const id = uuidOf("card operation", once.id);
  return await onlyOnce<{ readonly id: string }>(store, once, {
    make: async (remember) => {
      const wanted = { ...body, id };
      const operation = await beginOperation(store, { host, device }, wanted, [remember({ id })]);
      return { body: cardOperationView(operation) };
    },
    replay: async (kept) => await operationAnswer(store, { id: device, host }, kept.id),
  });
}

/** How an operation on this card stands. UNKNOWN_OPERATION. */
export async function operationAnswer(
  store: Store,
  { id: device, host }: Pick<Device, "id" | "host">,
  id: string,
): Promise<Answer> {
  const operation = isUuid(id) ? await readOperation(store, { id, host, device }) : undefined;
  if (operation === undefined) {
    throw new Fault("UNKNOWN_OPERATION", `no operation ${id}`, { field: "operation" });
  }
  return { body: cardOperationView(operation) };
}
