import type { CreateClaim } from "#protocol/http/claims";
import type { Flag, Input } from "../command.ts";
import { present } from "../text.ts";

/** What is wanted; the flags of `claims create` and `explain`. */
export const claimFlags: readonly Flag[] = [
  { name: "host", kind: "text", value: "HOST", help: "On this host (id or node name)" },
  {
    name: "type",
    kind: "text",
    value: "TYPE",
    help: "With an active image of this type, such as crypto",
  },
  { name: "image", kind: "text", value: "ID", help: "With this image" },
  { name: "trait", kind: "list", value: "TRAIT", help: "Needs this trait" },
  { name: "forbid-trait", kind: "list", value: "TRAIT", help: "Must not have this trait" },
  { name: "resource-class", kind: "text", value: "CLASS", help: "Such as CUSTOM_FPGA_INTEL_PF" },
  { name: "deployable", kind: "text", value: "ID", help: "Exactly this deployable" },
  { name: "profile", kind: "text", value: "NAME", help: "The groups of this profile" },
  { name: "count", kind: "number", value: "N", help: "Handles of one host, all or none (1)" },
  { name: "instance", kind: "text", value: "ID", help: "For this instance" },
  {
    name: "lease",
    kind: "seconds",
    value: "SPAN",
    help: "Ends unless renewed within 90s, 15m, 2h, 7d",
  },
];

/** The request body of the given flags. */
export function claimRequest(input: Input): CreateClaim {
  return present({
    host: input.text("host"),
    type: input.text("type"),
    image: input.text("image"),
    traits: input.list("trait"),
    forbiddenTraits: input.list("forbid-trait"),
    resourceClass: input.text("resource-class"),
    deployable: input.text("deployable"),
    profile: input.text("profile"),
    count: input.number("count"),
    instance: input.text("instance"),
    leaseSeconds: input.number("lease"),
  });
}
