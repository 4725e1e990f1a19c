import { providerId } from "#protocol/uuid";
import { idOf } from "../http/rows.ts";
import type { RoleName } from "./callers.ts";
import { ids } from "./world.ts";

/** Who may, of Cyborg's own rules and of the stricter set with personas. */
export interface Allowed {
  readonly legacy: readonly RoleName[];
  readonly personas: readonly RoleName[];
}

const everyone: readonly RoleName[] = ["reader", "member", "manager", "service", "admin"];
const readers: Allowed = {
  legacy: everyone,
  personas: ["reader", "member", "manager", "admin"],
};
const changers: Allowed = {
  legacy: ["member", "manager", "service", "admin"],
  personas: ["member", "manager", "service", "admin"],
};
/** CVE-2026-40213: with Cyborg's rules as they were, every token listed every card. */
const operators: Allowed = { legacy: ["admin"], personas: ["manager", "admin"] };
const admins: Allowed = { legacy: ["admin"], personas: ["admin"] };

/** What one method of one path must answer. */
export interface DoorRow {
  readonly may: Allowed;
  /** Needs a service token beside the rule (CVE-2026-40214). */
  readonly service?: true;
  readonly status: number;
  /** Answer to whoever may, of another project; `same` as in native-rows.ts. */
  readonly foreign: "same" | number;
  /** The path as it is asked, with its query. */
  readonly target: string;
  readonly body?: unknown;
  /** What Cyborg's own answer tells of other tenants to whoever may look at hardware. */
  readonly tells?: readonly string[];
}

const arqs = "/v2/accelerator_requests";
const arq = `${arqs}/${ids.arq}`;
const device = `/v2/devices/${ids.idleDevice}`;
const deployable = `/v2/deployables/${ids.idleCard}`;
const attribute = `/v2/attributes`;
const bind = {
  [ids.arq]: [
    { path: "/hostname", op: "add", value: "node1" },
    { path: "/device_rp_uuid", op: "add", value: providerOf("node1") },
    { path: "/instance_uuid", op: "add", value: idOf("another server") },
  ],
};
const unbind = {
  [ids.boundArq]: ["/hostname", "/device_rp_uuid", "/instance_uuid"].map((path) => ({
    path,
    op: "remove",
  })),
};

/** The pooled provider of the cards of a host (design §9). */
function providerOf(host: string): string {
  return providerId(`${host}_CUSTOM_FPGA_INTEL_PF_${idOf("interface")}_N3000_regions`);
}

const program = [{ path: "/program", op: "replace", value: [{ image_uuid: ids.image }] }];

/** Every method of every path of the accelerator API. */
export const doorRows: Readonly<Record<string, DoorRow>> = {
  "GET device_profiles": {
    may: readers,
    status: 200,
    foreign: "same",
    target: "/v2/device_profiles",
  },
  "POST device_profiles": {
    may: admins,
    status: 201,
    foreign: "same",
    target: "/v2/device_profiles",
    body: [{ name: "new", groups: [{ "resources:FPGA": "1" }] }],
  },
  "DELETE device_profiles": {
    may: admins,
    status: 204,
    foreign: "same",
    target: "/v2/device_profiles?value=unused",
  },
  "GET device_profiles/{profile}": {
    may: readers,
    status: 200,
    foreign: "same",
    target: `/v2/device_profiles/${ids.profile}`,
  },
  "DELETE device_profiles/{profile}": {
    may: admins,
    status: 204,
    foreign: "same",
    target: `/v2/device_profiles/${ids.profile}`,
  },
  "GET accelerator_requests": {
    may: readers,
    status: 200,
    foreign: "same",
    target: `${arqs}?instance=${ids.server}`,
  },
  "POST accelerator_requests": {
    may: changers,
    status: 201,
    foreign: "same",
    target: arqs,
    body: { device_profile_name: "dp1" },
  },
  "PATCH accelerator_requests": {
    may: changers,
    service: true,
    status: 202,
    foreign: 404,
    target: arqs,
    body: bind,
  },
  "DELETE accelerator_requests": {
    may: changers,
    service: true,
    status: 204,
    foreign: "same",
    target: `${arqs}?instance=${ids.server}`,
  },
  "GET accelerator_requests/{uuid}": { may: readers, status: 200, foreign: 404, target: arq },
  "PATCH accelerator_requests/{uuid}": {
    may: changers,
    service: true,
    status: 202,
    foreign: 404,
    target: `${arqs}/${ids.boundArq}`,
    body: unbind,
  },
  "DELETE accelerator_requests/{uuid}": { may: changers, status: 204, foreign: 404, target: arq },
  "GET devices": { may: operators, status: 200, foreign: "same", target: "/v2/devices" },
  "GET devices/{uuid}": { may: operators, status: 200, foreign: "same", target: device },
  "POST devices/{uuid}/enable": {
    may: admins,
    status: 204,
    foreign: "same",
    target: `${device}/enable`,
  },
  "POST devices/{uuid}/disable": {
    may: admins,
    status: 204,
    foreign: "same",
    target: `${device}/disable`,
  },
  "GET deployables": {
    may: operators,
    status: 200,
    foreign: "same",
    target: "/v2/deployables",
    // Its `bitstream_id`: whoever looks after cards sees what is loaded on them, by id only.
    tells: [ids.image],
  },
  "GET deployables/{uuid}": { may: operators, status: 200, foreign: "same", target: deployable },
  "PATCH deployables/{uuid}/program": {
    may: admins,
    status: 202,
    foreign: "same",
    target: `${deployable}/program`,
    body: program,
  },
  "PATCH deployables/{uuid}/program/{same}": {
    may: admins,
    status: 202,
    foreign: "same",
    target: `${deployable}/program/${ids.idleCard}`,
    body: program,
  },
  "GET attributes": { may: operators, status: 200, foreign: "same", target: attribute },
  "POST attributes": {
    may: admins,
    status: 201,
    foreign: "same",
    target: attribute,
    body: { deployable_id: ids.idleCard, key: "trait1", value: "CUSTOM_TEST" },
  },
  "GET attributes/{uuid}": {
    may: operators,
    status: 404,
    foreign: "same",
    target: `${attribute}/${idOf("none")}`,
  },
  "DELETE attributes/{uuid}": {
    may: admins,
    status: 404,
    foreign: "same",
    target: `${attribute}/${idOf("none")}`,
  },
};
