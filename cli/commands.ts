import type { Command } from "./command.ts";
import { attachCommand } from "./commands/attach.ts";
import { auditCommands } from "./commands/audit.ts";
import { catalogCommands } from "./commands/catalog.ts";
import { claimCommands } from "./commands/claims.ts";
import { deployableCommands } from "./commands/deployables.ts";
import { deviceCommands } from "./commands/devices.ts";
import { eventCommands } from "./commands/events.ts";
import { explainCommands } from "./commands/explain.ts";
import { hostCommands } from "./commands/hosts.ts";
import { imageCommands } from "./commands/images.ts";
import { keyCommands } from "./commands/keys.ts";
import { openstackCommands } from "./commands/openstack.ts";
import { profileCommands } from "./commands/profiles.ts";
import { programCommands } from "./commands/program.ts";
import { quotaCommands } from "./commands/quotas.ts";
import { statusCommands } from "./commands/status.ts";
import { toolCommands } from "./commands/tools.ts";
import { watchCommands } from "./commands/watch.ts";

/** The command table, in the order of the overview. */
export const commands: readonly Command[] = [
  ...statusCommands,
  ...imageCommands,
  ...keyCommands,
  ...hostCommands,
  ...deviceCommands,
  ...deployableCommands,
  ...claimCommands,
  ...programCommands,
  attachCommand(["attach"]),
  ...explainCommands,
  ...profileCommands,
  ...quotaCommands,
  ...eventCommands,
  ...auditCommands,
  ...watchCommands,
  ...catalogCommands,
  ...openstackCommands,
  ...toolCommands,
];
