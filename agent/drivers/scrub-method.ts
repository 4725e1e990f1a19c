import type { InventoryDeployable, InventoryHandle } from "#protocol/wire/inventory";
import { pciPath } from "../host/pci.ts";
import type { CardContext } from "./card-family.ts";

/** What decides how a deployable can be made clean. */
export interface Scrubbable {
  /** The shell, when something can be programmed. */
  readonly interfaceId?: string | undefined;
  /** The hardware unloads and clears memory without a blank image. */
  readonly erases?: boolean;
  readonly handles: readonly InventoryHandle[];
}

/**
 * The one way a deployable can be scrubbed: erase where there is a blank image for its shell, or no
 * need of one; else reset where every handle that is on the bus can be reset alone; else none, and
 * then nothing is offered and every handle says why (design §4, host.md §3.5).
 */
export async function scrubPart(
  context: CardContext,
  { interfaceId, erases, handles }: Scrubbable,
): Promise<Pick<InventoryDeployable, "scrubMethod" | "handles">> {
  const blank = interfaceId !== undefined && context.blanks.for(interfaceId) !== undefined;
  if (blank || (erases && interfaceId !== undefined)) {
    return { scrubMethod: "erase", handles: [...handles] };
  }
  if (await canReset(context, handles)) return { scrubMethod: "reset", handles: [...handles] };
  return { handles: handles.map(withoutMethod) };
}

async function canReset(
  { port }: CardContext,
  handles: readonly InventoryHandle[],
): Promise<boolean> {
  let found = false;
  for (const { address } of handles) {
    if (!(await port.exists(pciPath(address)))) continue;
    if (!(await port.exists(`${pciPath(address)}/reset`))) return false;
    found = true;
  }
  return found;
}

/** A reason that is there already is the nearer one. */
function withoutMethod(handle: InventoryHandle): InventoryHandle {
  return { ...handle, attachable: false, reason: handle.reason ?? "NO_SCRUB_METHOD" };
}
