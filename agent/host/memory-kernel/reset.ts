import { type CardState, type FunctionState, kernelError, type Wait } from "./state.ts";

/**
 * `echo 1 > reset`. EINVAL for anything but 1, ENOTTY when no method works (host.md §3.5). Clears
 * registers, never the card's memory. The kernel does not ask whether a guest has the function.
 */
export function resetFunction(card: CardState, fn: FunctionState, value: string): Wait {
  if (value.trim() !== "1") throw kernelError("EINVAL", "reset");
  const { description } = card;
  if (description.model === "sriov" && description.reset === "broken") {
    throw kernelError("ENOTTY", "reset");
  }
  fn.dirty = false;
  if (fn.role === "management") card.offline = false;
  return undefined;
}
