import type { Binding } from "../parts/binding.ts";
import type { Identify } from "../parts/identity.ts";
import type { OpenStackSettings } from "../parts/openstack.ts";
import type { Settings } from "../parts/settings.ts";
import type { PolicySet } from "./policy.ts";

/** What Cyborg's API works with. */
export interface Accelerator {
  readonly binding: Binding;
  readonly identify: Identify;
  readonly settings: Pick<Settings, "defaultQuota" | "bindDeadlineMs"> &
    Pick<OpenStackSettings, "shape" | "serviceTokens"> & {
      readonly policy: PolicySet;
      /** `WWW-Authenticate` of a 401. */
      readonly challenge: string;
    };
  /** A new random uuid. */
  readonly newId: () => string;
  /** Requests that wait for a card to be programmed now; each holds a connection open. */
  readonly waiting: Set<string>;
  /** Gets what is not an expected fault. */
  readonly log: (error: unknown) => void;
}
