import * as z from "zod/mini";
import { Fault } from "#domain/faults";
import type { OpenStack } from "./cloud.ts";

/** What a running Cyborg has, as its API v2 tells an admin (cyborg.md §1). */

const profile = z.object({
  uuid: z.string(),
  name: z.string(),
  description: z.optional(z.nullable(z.string())),
  groups: z.array(z.record(z.string(), z.string())),
});
export type CyborgProfile = z.infer<typeof profile>;

const request = z.object({
  uuid: z.string(),
  state: z.string(),
  device_profile_name: z.nullable(z.string()),
  device_profile_group_id: z.nullable(z.number()),
  hostname: z.nullable(z.string()),
  device_rp_uuid: z.nullable(z.string()),
  instance_uuid: z.nullable(z.string()),
  project_id: z.optional(z.nullable(z.string())),
  attach_handle_type: z.optional(z.nullable(z.string())),
  attach_handle_info: z.optional(z.nullable(z.record(z.string(), z.unknown()))),
});
export type CyborgRequest = z.infer<typeof request>;

const deployable = z.object({
  uuid: z.string(),
  name: z.string(),
  rp_uuid: z.nullable(z.string()),
});
export type CyborgDeployable = z.infer<typeof deployable>;

/** Everything that is taken over. */
export interface CyborgSite {
  readonly profiles: readonly CyborgProfile[];
  readonly requests: readonly CyborgRequest[];
  readonly deployables: readonly CyborgDeployable[];
}

/** Reads a whole site. OPENSTACK_UNAVAILABLE when Cyborg does not answer, or not as Cyborg does. */
export async function readCyborg(openstack: OpenStack): Promise<CyborgSite> {
  const [profiles, requests, deployables] = await Promise.all([
    listed(openstack, "/device_profiles", z.object({ device_profiles: z.array(profile) })),
    listed(openstack, "/accelerator_requests", z.object({ arqs: z.array(request) })),
    listed(openstack, "/deployables", z.object({ deployables: z.array(deployable) })),
  ]);
  return {
    profiles: profiles.device_profiles,
    requests: requests.arqs,
    deployables: deployables.deployables,
  };
}

async function listed<Schema extends z.ZodMiniType>(
  openstack: OpenStack,
  path: string,
  schema: Schema,
): Promise<z.infer<Schema>> {
  const reply = await openstack.send({ service: "accelerator", method: "GET", path });
  if (reply.status !== 200) throw unreadable(path, `answered ${reply.status}`);
  const parsed = schema.safeParse(jsonOf(reply.text));
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw unreadable(path, `${issue?.path.join(".") ?? ""}: ${issue?.message ?? "not readable"}`);
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function unreadable(path: string, why: string): Fault {
  return new Fault("OPENSTACK_UNAVAILABLE", `accelerator ${path}: ${why}`, {
    service: "accelerator",
  });
}
