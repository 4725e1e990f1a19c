import type { DynamoDBBatchResponse, DynamoDBStreamEvent } from "aws-lambda";
import { isFault } from "#domain/faults";
import { type OwedAllocation, owedAllocationOf } from "#store/allocations";
import { owedEventOf } from "#store/outbox";
import { type Create, entry, type Handler } from "../entry.ts";
import { deliver, type Telling } from "../openstack/nova-events.ts";
import { placementChanged } from "../openstack/placement-changes.ts";
import { secondSystems } from "../parts/second-systems.ts";
import { type Change, changeOf } from "./table-changed.ts";

/** Who hears of changes on behalf of OpenStack. */
export interface Hearing extends Telling {
  /** Brings Placement up to date with what these changes mean. */
  readonly placementChanged: (changes: readonly Change[]) => Promise<unknown>;
  /** Drops the allocation of a native claim that ended. */
  readonly settleAllocation: (owed: OwedAllocation) => Promise<unknown>;
}

/** An event that Nova is owed since this change. */
function isOwed({ before, after }: Change): boolean {
  return after?.["type"] === "outbox" && before?.["createdAt"] !== after["createdAt"];
}

/** An allocation that is to be dropped since this change; those to be made are the grant's own. */
function droppedBy({ before, after }: Change): readonly OwedAllocation[] {
  if (after?.["type"] !== "allocation" || before !== undefined) return [];
  const owed = owedAllocationOf(after);
  return owed.order === "drop" ? [owed] : [];
}

/**
 * The table's stream, for second systems. It is a function of its own, so that one of them that
 * hangs holds up nothing else. What is owed stands in the table: a service that is away is not tried
 * here again and again, the clock does that.
 */
export function openstackChangedFunction(
  hearing: Hearing,
): Handler<unknown, DynamoDBBatchResponse> {
  return async (event) => {
    const { Records: records } = event as DynamoDBStreamEvent;
    const changes = records.map(changeOf);
    const owed = changes.filter(isOwed).flatMap(({ after }) => (after ? [owedEventOf(after)] : []));
    const results = await Promise.allSettled([
      hearing.placementChanged(changes),
      ...owed.map(async (one) => await deliver(hearing, one)),
      ...changes.flatMap(droppedBy).map(async (one) => await hearing.settleAllocation(one)),
    ]);
    const failed = results.find((one) => one.status === "rejected" && isDefect(one.reason));
    if (failed?.status !== "rejected") return { batchItemFailures: [] };
    console.error(failed.reason);
    const itemIdentifier = records[0]?.dynamodb?.SequenceNumber ?? "";
    return { batchItemFailures: [{ itemIdentifier }] };
  };
}

/** A service that is away is remembered as owed by whoever needed it. */
function isDefect(error: unknown): boolean {
  return !isFault(error, "OPENSTACK_UNAVAILABLE");
}

/** Without a cloud there is nobody to tell. */
export const create: Create = (environment) => {
  const parts = secondSystems(environment);
  return parts === undefined
    ? async () => ({ batchItemFailures: [] })
    : openstackChangedFunction({
        ...parts,
        placementChanged: async (changes) => await placementChanged(parts.placement, changes),
      });
};

export const handler = entry(create);
