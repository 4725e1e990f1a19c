import {
  advance,
  type CardKind,
  type CardOperation,
  cardDeadlineMs,
  checkOperable,
  giveBack,
  withhold,
} from "#domain/card";
import { silentAfterMs } from "#domain/claim";
import type { Deployable } from "#domain/deployable";
import { Fault } from "#domain/faults";
import type { Device } from "#domain/host";
import { freeCardLock, keepCardLock, readCardLock, takeCardLock } from "#store/card-lock";
import { changeDeployable, deployablesOf, replaceDeployable } from "#store/deployables";
import { all, any, eq, ge } from "#store/expression";
import { beatKey, cardOperationKey, deviceKey } from "#store/keys";
import { isExpired, valueOf, valueOrUndefined } from "#store/rows";
import type { Store } from "#store/store";
import type { Failure, Write } from "#store/table";

/** Most rows of one DynamoDB transaction (reference/serverless.md). */
const maxWrites = 100;
/** Most deployables of a card: beside them go lock, heartbeat, card and the idempotency row. */
export const mostMembers = maxWrites - 4;
const mostTries = 6;

/** A wish for an operation; `id` makes it the same operation when it is asked for again. */
export type NewOperation = Pick<CardOperation, "id" | "kind" | "layout" | "vfs">;

/**
 * Takes the lock of a card in one transaction: no other operation holds it, its host is heard, the
 * card and all of its deployables are as they were judged, and from then on none is offered. `also`
 * goes with it. Throws UNKNOWN_DEVICE, IN_USE, WRONG_STATE, HOST_OFFLINE, INVALID_REQUEST for a card
 * with more than 96 deployables, TRY_AGAIN.
 */
export async function beginOperation(
  store: Store,
  where: { readonly host: string; readonly device: string },
  wanted: NewOperation,
  also: readonly Write[] = [],
): Promise<CardOperation> {
  for (let attempt = 0; attempt < mostTries; attempt += 1) {
    const device = await readDevice(store, where);
    const members = await membersOf(store, device);
    const operation = isWhole(device, members)
      ? await tryBegin(store, { device, members }, wanted, also)
      : undefined;
    if (operation !== undefined) return operation;
    await store.sleep(store.random() * 10 * 2 ** attempt);
  }
  throw new Fault("TRY_AGAIN", undefined, { retryAfterSeconds: 1 });
}

/** An inventory names the rows of a card before it writes them: none may slip in behind the lock. */
function isWhole({ deployables }: Device, members: readonly Deployable[]): boolean {
  return deployables.every((id) => members.some((one) => one.id === id));
}

async function tryBegin(
  store: Store,
  card: { readonly device: Device; readonly members: readonly Deployable[] },
  wanted: NewOperation,
  also: readonly Write[],
): Promise<CardOperation | undefined> {
  const { device, members } = card;
  await checkFree(store, device, members, wanted.kind);
  const operation = operationOn(device, wanted, store.now());
  const writes = [...takingWrites(operation, device), ...withholding(members, operation), ...also];
  const result = await store.table.write(writes);
  if (result.ok) return operation;
  checkHeard(result.failures, device);
  checkAlso(result.failures.slice(writes.length - also.length));
  return undefined;
}

async function readDevice(
  store: Store,
  { host, device }: { readonly host: string; readonly device: string },
): Promise<Device> {
  const item = await store.table.get(deviceKey(host, device), { consistent: true });
  if (item !== undefined) return valueOf<Device>(item);
  throw new Fault("UNKNOWN_DEVICE", `no device ${device}`, { field: "device" });
}

async function membersOf(
  store: Store,
  { host, id }: Pick<Device, "host" | "id">,
): Promise<readonly Deployable[]> {
  return (await deployablesOf(store, host)).filter(({ device }) => device === id);
}

async function checkFree(
  store: Store,
  device: Device,
  members: readonly Deployable[],
  kind: CardKind,
): Promise<void> {
  const lock = await readCardLock(store, device.host, device.id);
  if (lock !== undefined) {
    const { id, kind: running } = lock.operation;
    throw new Fault("WRONG_STATE", `operation ${id} (${running}) holds card ${device.id}`, {
      operation: id,
    });
  }
  checkOperable(device, members, kind);
  if (members.length <= mostMembers) return;
  const expected = `at most ${mostMembers} deployables`;
  const message = `card ${device.id} has ${members.length} deployables: expected ${expected}`;
  throw new Fault("INVALID_REQUEST", message, { field: "device", expected });
}

function operationOn(device: Device, wanted: NewOperation, now: number): CardOperation {
  const { host, hostName, id, cardId } = device;
  return {
    ...wanted,
    host,
    hostName,
    device: id,
    cardId,
    state: "pending",
    requestedAt: now,
    deadline: now + cardDeadlineMs,
    updatedAt: now,
  };
}

/** Heartbeat first: its failure has a meaning of its own. */
function takingWrites(operation: CardOperation, device: Device): readonly Write[] {
  const { host, requestedAt } = operation;
  const connected = any(eq("state", "online"), eq("state", "drained"));
  return [
    {
      kind: "check",
      key: beatKey(host),
      if: all(connected, ge("seenAt", requestedAt - silentAfterMs)),
    },
    {
      kind: "check",
      key: deviceKey(host, device.id),
      if: eq(["value", "updatedAt"], device.updatedAt),
    },
    takeCardLock(operation),
  ];
}

function withholding(
  members: readonly Deployable[],
  { id, requestedAt }: CardOperation,
): readonly Write[] {
  return members.map((one) => replaceDeployable(one, withhold(one, id, requestedAt)));
}

function checkHeard([beat]: readonly (Failure | undefined)[], { hostName }: Device): void {
  if (beat?.reason !== "condition") return;
  throw new Fault("HOST_OFFLINE", `host ${hostName} is not connected`, { field: "device" });
}

/** The caller's own rows failed: only the caller knows what that means. */
function checkAlso(failures: readonly (Failure | undefined)[]): void {
  if (failures.every((failure) => failure?.reason !== "condition")) return;
  throw new Fault("CONFLICT", "the same request has been made meanwhile");
}

/** Which operation, on which card. */
export type Named = Pick<CardOperation, "id" | "host" | "device">;

/** Notes that the agent has begun. Nothing happens when the operation is over or another's by now. */
export async function noteBegun(store: Store, named: Named): Promise<void> {
  const lock = await lockOfOperation(store, named);
  if (lock === undefined || lock.operation.state !== "pending") return;
  const begun = advance(lock.operation, "begin", { now: store.now() });
  // A lost race is an end or a row that joined: the agent says it again with its next answer.
  if (begun !== undefined) await store.table.write([keepCardLock(lock, begun)]);
}

/**
 * Ends an operation in one transaction: the lock is free, its end written down, the card's
 * deployables are put back to be proven anew. Returns undefined when it is over already. TRY_AGAIN.
 */
export async function endOperation(
  store: Store,
  named: Named,
  end: (operation: CardOperation) => CardOperation | undefined,
): Promise<CardOperation | undefined> {
  for (let attempt = 0; attempt < mostTries; attempt += 1) {
    const lock = await lockOfOperation(store, named);
    const ended = lock && end(lock.operation);
    if (lock === undefined || ended === undefined) return undefined;
    const members = await withheldBy(store, ended);
    const result = await store.table.write([
      ...freeCardLock(lock, ended),
      ...members.map((one) => replaceDeployable(one, giveBack(one, ended.kind, store.now()))),
    ]);
    if (result.ok) return ended;
    await store.sleep(store.random() * 10 * 2 ** attempt);
  }
  throw new Fault("TRY_AGAIN", undefined, { retryAfterSeconds: 1 });
}

async function lockOfOperation(store: Store, { host, device, id }: Named) {
  const lock = await readCardLock(store, host, device);
  return lock?.operation.id === id ? lock : undefined;
}

/**
 * The deployables an operation holds, at most as many as one transaction takes: rows that were found
 * meanwhile and are too many for it are put back before.
 */
async function withheldBy(
  store: Store,
  { host, device, id, kind }: CardOperation,
): Promise<readonly Deployable[]> {
  const members = await membersOf(store, { host, id: device });
  const held = members.filter(({ cardOperation }) => cardOperation === id);
  for (const one of held.slice(mostMembers)) {
    await changeDeployable(store, one, (now) => giveBack(now, kind, store.now()));
  }
  return held.slice(0, mostMembers);
}

/** One operation, open or over; undefined when the card never had it or it is forgotten. */
export async function readOperation(
  store: Store,
  { host, device, id }: Named,
): Promise<CardOperation | undefined> {
  const lock = await lockOfOperation(store, { host, device, id });
  if (lock !== undefined) return lock.operation;
  const item = await store.table.get(cardOperationKey(device, id), { consistent: true });
  return item === undefined || isExpired(item, store.now()) ? undefined : valueOrUndefined(item);
}
