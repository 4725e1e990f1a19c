import type { Claim } from "#domain/claim";
import type { Deployable } from "#domain/deployable";
import { grant } from "#domain/transitions";
import { uuidOf } from "#protocol/uuid";
import { addClaim } from "#store/claims";
import { deployableRow } from "#store/deployables";
import { beatRow } from "#store/hosts";
import type { Table, Write } from "#store/table";
import { seededDeployable } from "./fleet.ts";

const cards = 8;

/** A host whose cards are all held by claims that are bound, as rows. */
function heldHost(index: number, instanceOf: (claim: number) => string): readonly Write[] {
  const now = Date.now();
  const host = uuidOf("held", String(index));
  const beat = beatRow({ host, state: "online", epoch: 1, seenAt: now + 365 * 86_400_000 });
  const rows = Array.from({ length: cards }, (_, slot) => {
    const number = index * cards + slot;
    const claim = uuidOf("held claim", String(number));
    const project = `project-${number % 16}`;
    const instance = instanceOf(number);
    const free = seededDeployable(host, slot, now);
    const [handle = ""] = Object.keys(free.handles);
    const granted = grant(free, [{ claim, project, instance, handle }], undefined, now);
    const bound = boundOf(granted);
    const put: Write = { kind: "put", item: deployableRow(bound) };
    return [put, ...addClaim(claimOf({ claim, project, instance, handle }, bound))];
  });
  return [{ kind: "put", item: beat }, ...rows.flat()];
}

/** The agent has proven it: nobody owes anything. */
function boundOf(granted: Deployable): Deployable {
  const handles = Object.entries(granted.handles).map(([name, handle]) => [
    name,
    handle.holder === undefined
      ? handle
      : { ...handle, holder: { ...handle.holder, binding: false } },
  ]);
  return { ...granted, handles: Object.fromEntries(handles) as Deployable["handles"] };
}

function claimOf(
  held: { readonly claim: string; readonly project: string; instance: string; handle: string },
  deployable: Deployable,
): Claim {
  const handle = deployable.handles[held.handle];
  return {
    id: held.claim,
    project: held.project,
    user: "bench",
    state: "Bound",
    resourceClass: deployable.resourceClass,
    instance: held.instance,
    host: deployable.host,
    deployable: deployable.id,
    handle: held.handle,
    fence: handle?.fence ?? 1,
    pciAddress: handle?.address,
    group: 0,
    createdAt: deployable.updatedAt,
    updatedAt: deployable.updatedAt,
  };
}

/** Adds this many bound claims, on hosts of their own; `instanceOf` says whose each is. */
export async function seedHeld(
  table: Table,
  claims: number,
  instanceOf: (claim: number) => string,
): Promise<void> {
  let next = 0;
  const writer = async (): Promise<void> => {
    while (next * cards < claims) {
      next += 1;
      await table.write(heldHost(next - 1, instanceOf));
    }
  };
  await Promise.all(Array.from({ length: 8 }, writer));
}
