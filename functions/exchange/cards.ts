import { advance, type CardOperation } from "#domain/card";
import type { Deployable } from "#domain/deployable";
import { deviceId } from "#protocol/uuid";
import type { Card, CardReport } from "#protocol/wire/card";
import { openOperations } from "#store/card-lock";
import { endOperation, noteBegun } from "#store/cards";
import { readHost } from "#store/hosts";
import type { Store } from "#store/store";
import { floorsOf } from "./hello.ts";

/**
 * The open card operations of a host as its agent gets them. Deployables that none holds say so
 * themselves: then nothing is read.
 */
export async function openCards(
  store: Store,
  host: string,
  deployables: readonly Deployable[],
): Promise<readonly Card[]> {
  if (deployables.every(({ cardOperation }) => cardOperation === undefined)) return [];
  return (await openOperations(store, host)).map((one) => cardOf(one, deployables));
}

function cardOf(operation: CardOperation, deployables: readonly Deployable[]): Card {
  const { id, cardId, kind, layout, vfs, requestedAt, deadline } = operation;
  const members = deployables.filter(({ cardOperation }) => cardOperation === id);
  return {
    type: "card",
    cardId,
    operation: id,
    kind,
    ...(layout === undefined ? {} : { layout }),
    ...(vfs === undefined ? {} : { vfs }),
    requestedAt,
    deadline,
    floors: Object.fromEntries(members.map((one) => [one.id, floorsOf(one)])),
  };
}

/**
 * Takes what an agent says of a card operation. Its end counts when the inventory that goes with it
 * is here; until then it is asked again. One that is over or another card's changes nothing.
 */
export async function settleCard(store: Store, host: string, told: CardReport): Promise<void> {
  const named = { id: told.operation, host, device: deviceId(host, told.cardId) };
  const { inventoryHash } = await readHost(store, host);
  if (told.state === "running" || inventoryHash !== told.inventoryHash) {
    await noteBegun(store, named);
    return;
  }
  await endOperation(store, named, (operation) => ended(operation, told, store.now()));
}

function ended(
  operation: CardOperation,
  { state, error }: CardReport,
  now: number,
): CardOperation | undefined {
  if (state === "succeeded") return advance(operation, "succeed", { now });
  const { code, message } = error ?? { code: "INTERNAL", message: "the agent gave no reason" };
  return advance(operation, "fail", { now, error: { code, message } });
}
