import type { Identity } from "../parts/identity.ts";
import { refusal } from "./errors.ts";
import type { Accelerator } from "./parts.ts";

/**
 * Who binds, unbinds or deletes what an instance uses must be a service that acts for the user, or a
 * user could take accelerators from under a guest (CVE-2026-40214). 403.
 */
export function checkService(
  { serviceTokens }: Pick<Accelerator["settings"], "serviceTokens">,
  { isService }: Identity,
  told = "This operation requires a service token. Use the Compute API to manage instance accelerators.",
): void {
  if (serviceTokens === "required" && !isService) throw refusal(403, told);
}
