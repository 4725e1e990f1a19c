import type { Identity } from "../parts/identity.ts";
import { refusal } from "./errors.ts";

/**
 * Which of Cyborg's two rule sets is in force (cyborg.md §1.7). `legacy` is its default, without the
 * hole of letting every member list cards; `personas` is its set of manager, member, reader, service.
 */
export type PolicySet = "legacy" | "personas";

/** What a rule guards, named as Cyborg's policy files name it. */
export type Rule =
  | "cyborg:device_profile:get_all"
  | "cyborg:device_profile:get_one"
  | "cyborg:device_profile:create"
  | "cyborg:device_profile:delete"
  | "cyborg:arq:get_all"
  | "cyborg:arq:get_one"
  | "cyborg:arq:create"
  | "cyborg:arq:update"
  | "cyborg:arq:delete"
  | "cyborg:device:get_all"
  | "cyborg:device:get_one"
  | "cyborg:device:enable"
  | "cyborg:device:disable"
  | "cyborg:deployable:get_all"
  | "cyborg:deployable:get_one"
  | "cyborg:deployable:program"
  | "cyborg:attribute:get_all"
  | "cyborg:attribute:get_one"
  | "cyborg:attribute:create"
  | "cyborg:attribute:delete";

type Demand = (roles: ReadonlySet<string>) => boolean;

const anyone: Demand = () => true;
const adminOnly: Demand = () => false;
/** Whoever may do more than read: sites have roles of their own that are no less than `member`. */
const notJustReader: Demand = (roles) => [...roles].some((role) => role !== "reader");
const oneOf =
  (...wanted: readonly string[]): Demand =>
  (roles) =>
    wanted.some((role) => roles.has(role));

/** What a caller needs who is no admin: reading and changing profiles, requests and hardware. */
interface Demands {
  readonly readProfile: Demand;
  readonly readArq: Demand;
  readonly changeArq: Demand;
  readonly readHardware: Demand;
}

const demands: Readonly<Record<PolicySet, Demands>> = {
  legacy: {
    readProfile: anyone,
    readArq: anyone,
    changeArq: notJustReader,
    readHardware: adminOnly,
  },
  personas: {
    readProfile: oneOf("reader", "member", "manager"),
    readArq: oneOf("reader", "member", "manager"),
    changeArq: oneOf("member", "manager", "service"),
    readHardware: oneOf("manager"),
  },
};

const guards: Readonly<Record<Rule, keyof Demands | "admin">> = {
  "cyborg:device_profile:get_all": "readProfile",
  "cyborg:device_profile:get_one": "readProfile",
  "cyborg:device_profile:create": "admin",
  "cyborg:device_profile:delete": "admin",
  "cyborg:arq:get_all": "readArq",
  "cyborg:arq:get_one": "readArq",
  "cyborg:arq:create": "changeArq",
  "cyborg:arq:update": "changeArq",
  "cyborg:arq:delete": "changeArq",
  "cyborg:device:get_all": "readHardware",
  "cyborg:device:get_one": "readHardware",
  "cyborg:device:enable": "admin",
  "cyborg:device:disable": "admin",
  "cyborg:deployable:get_all": "readHardware",
  "cyborg:deployable:get_one": "readHardware",
  "cyborg:deployable:program": "admin",
  "cyborg:attribute:get_all": "readHardware",
  "cyborg:attribute:get_one": "readHardware",
  "cyborg:attribute:create": "admin",
  "cyborg:attribute:delete": "admin",
};

/** True when the rule lets the caller in. */
export function isAllowed(policy: PolicySet, rule: Rule, caller: Identity): boolean {
  if (caller.isAdmin) return true;
  const guard = guards[rule];
  return guard !== "admin" && demands[policy][guard](new Set(caller.roles));
}

/** 403 in Cyborg's words unless the rule lets the caller in. */
export function checkRule(policy: PolicySet, rule: Rule, caller: Identity): void {
  if (isAllowed(policy, rule, caller)) return;
  throw refusal(403, `Access was denied to the following resource: ${rule}`);
}
