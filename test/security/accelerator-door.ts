import { acceleratorFunction } from "../../functions/accelerator/api.ts";
import type { Accelerator } from "../../functions/accelerator/parts.ts";
import type { PolicySet } from "../../functions/accelerator/policy.ts";
import { Catalogue } from "../../functions/parts/catalogue.ts";
import type { Identify } from "../../functions/parts/identity.ts";
import { openDoor } from "../accelerator/support.ts";
import type { World } from "./world.ts";

/** The accelerator API over a world, and what went into its log. */
export function doorOver({ store }: World, identify: Identify, policy: PolicySet = "legacy") {
  const defects: unknown[] = [];
  const { parts: usual } = openDoor({ policy });
  const parts: Accelerator = {
    ...usual,
    binding: { ...usual.binding, store, catalogue: new Catalogue(store) },
    identify,
    log: (error) => defects.push(error),
  };
  return { served: acceleratorFunction(parts), defects };
}
