import * as z from "zod/mini";
import type { Environment } from "../entry.ts";
import type { OpenStackSettings } from "../parts/openstack.ts";
import type { Settings } from "../parts/settings.ts";
import type { Accelerator } from "./parts.ts";

const schema = z.object({
  GATEHOUSE_ACCELERATOR_POLICY: z.optional(z.enum(["", "legacy", "personas"])),
});

/** What an installation decides about Cyborg's API. Throws with the setting's name when it is wrong. */
export function acceleratorSettings(
  environment: Environment,
  settings: Settings,
  openstack: OpenStackSettings,
): Accelerator["settings"] {
  const parsed = schema.safeParse(environment);
  if (!parsed.success) {
    throw new Error("GATEHOUSE_ACCELERATOR_POLICY: expected legacy or personas");
  }
  const { defaultQuota, bindDeadlineMs, auth } = settings;
  const { shape, serviceTokens } = openstack;
  const keystone = environment["OS_AUTH_URL"] ?? "";
  const isKeystone = auth === "keystone" && keystone !== "";
  return {
    defaultQuota,
    bindDeadlineMs,
    shape,
    serviceTokens,
    policy: parsed.data.GATEHOUSE_ACCELERATOR_POLICY || "legacy",
    challenge: isKeystone ? `Keystone uri="${keystone}"` : "Bearer",
  };
}
