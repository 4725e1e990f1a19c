import type { OperationId } from "#protocol/http/routes";
import { idOf } from "../http/rows.ts";
import { ids, type World } from "./world.ts";

/** The smallest role that may; `open` asks nobody who it is, `agent` wants an agent's own token. */
export type Least = "open" | "agent" | "reader" | "member" | "admin";

/**
 * What a route must answer. It is written out once more, not read off the route table: a slip there
 * shows here.
 */
export interface Row {
  readonly least: Least;
  /** Answer to whoever may, of the owner's project. */
  readonly status: number;
  /**
   * Answer to whoever may, of another project. `same`: nothing of a tenant is asked for or changed,
   * and nothing of the owner is in the answer. Otherwise the refusal's status and code.
   */
  readonly foreign: "same" | readonly [number, string];
  /** Of an admin in another project, where that differs from the owner's. */
  readonly foreignAdmin?: readonly [number, string];
  readonly path?: Readonly<Record<string, string>> | ((world: World) => Record<string, string>);
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: (world: World) => unknown;
}

const body = (value: unknown) => () => value;
const noClaim = [404, "UNKNOWN_CLAIM"] as const;
const noImage = [404, "UNKNOWN_IMAGE"] as const;

const claim = { claim: ids.claim };
const image = { image: ids.image };
const card = { deployable: ids.card };
const signer = ({ manifest }: World) => ({ key: manifest.keyId });
const pf = "CUSTOM_FPGA_INTEL_PF";

const settingRows = {
  describeService: { least: "open", status: 200, foreign: "same" },
  openapi: { least: "open", status: 200, foreign: "same" },
  metrics: { least: "admin", status: 200, foreign: "same" },
  createProfile: {
    least: "admin",
    status: 201,
    foreign: "same",
    body: body({ name: "new", groups: [{ [`resources:${pf}`]: "1" }] }),
  },
  listProfiles: { least: "reader", status: 200, foreign: "same" },
  getProfile: { least: "reader", status: 200, foreign: "same", path: { profile: "dp1" } },
  deleteProfile: { least: "admin", status: 200, foreign: "same", path: { profile: "unused" } },
  listQuotas: { least: "reader", status: 200, foreign: "same" },
  getQuotas: { least: "admin", status: 200, foreign: "same", path: { project: "victim" } },
  setQuota: {
    least: "admin",
    status: 200,
    foreign: "same",
    path: { project: "victim", resourceClass: pf },
    body: body({ limit: 9 }),
  },
  listTraits: { least: "reader", status: 200, foreign: "same" },
  listResourceClasses: { least: "reader", status: 200, foreign: "same" },
  listEvents: { least: "reader", status: 200, foreign: "same", query: { claim: ids.claim } },
} satisfies Partial<Record<OperationId, Row>>;

const imageRows = {
  createImage: {
    least: "member",
    status: 201,
    foreign: "same",
    body: body({ name: "new", vendor: "intel", type: "crypto", sha256: "b".repeat(64), size: 10 }),
  },
  listImages: { least: "reader", status: 200, foreign: "same" },
  getImage: { least: "reader", status: 200, foreign: noImage, path: image },
  retireImage: { least: "member", status: 200, foreign: noImage, path: image },
  signImage: {
    least: "member",
    status: 202,
    foreign: noImage,
    path: image,
    body: ({ manifest }: World) => ({ manifest }),
  },
  createKey: {
    least: "admin",
    status: 201,
    foreign: "same",
    body: ({ keys }: World) => ({ name: "new", publicKey: keys.other.pem }),
  },
  listKeys: { least: "reader", status: 200, foreign: "same" },
  getKey: { least: "reader", status: 200, foreign: "same", path: signer },
  revokeKey: { least: "admin", status: 200, foreign: "same", path: signer },
} satisfies Partial<Record<OperationId, Row>>;

const hostRows = {
  createHost: { least: "admin", status: 201, foreign: "same", body: body({ name: "node3" }) },
  listHosts: { least: "admin", status: 200, foreign: "same" },
  getHost: { least: "admin", status: 200, foreign: "same", path: { host: ids.host } },
  removeHost: { least: "admin", status: 200, foreign: "same", path: { host: ids.idleHost } },
  createJoinToken: { least: "admin", status: 201, foreign: "same", path: { host: ids.host } },
  drainHost: { least: "admin", status: 200, foreign: "same", path: { host: ids.host } },
  activateHost: { least: "admin", status: 200, foreign: "same", path: { host: ids.host } },
  revokeHost: { least: "admin", status: 200, foreign: "same", path: { host: ids.host } },
  join: { least: "agent", status: 201, foreign: "same" },
  exchange: { least: "agent", status: 200, foreign: "same" },
} satisfies Partial<Record<OperationId, Row>>;

const deployableRows = {
  listDevices: { least: "admin", status: 200, foreign: "same" },
  getDevice: { least: "admin", status: 200, foreign: "same", path: { device: ids.device } },
  operateDevice: {
    least: "admin",
    status: 202,
    foreign: "same",
    path: { device: ids.idleDevice },
    body: body({ kind: "rescan" }),
  },
  getDeviceOperation: {
    least: "admin",
    status: 404,
    foreign: "same",
    path: { device: ids.device, operation: idOf("none") },
  },
  listDeployables: { least: "reader", status: 200, foreign: "same" },
  getDeployable: { least: "reader", status: 200, foreign: "same", path: card },
  explainClaim: {
    least: "reader",
    status: 200,
    foreign: noImage,
    body: body({ image: ids.image }),
  },
  programDeployable: {
    least: "member",
    status: 202,
    foreign: noImage,
    foreignAdmin: [409, "IN_USE"],
    path: card,
    body: body({ image: ids.image, force: true }),
  },
  enableDeployable: { least: "admin", status: 200, foreign: "same", path: card },
  disableDeployable: { least: "admin", status: 200, foreign: "same", path: card },
  takeOverHandle: {
    least: "admin",
    status: 409,
    foreign: "same",
    path: card,
    body: body({ handle: "pf", reason: "a test" }),
  },
  listReceipts: { least: "reader", status: 200, foreign: "same", path: card },
  listOperations: { least: "reader", status: 200, foreign: "same", path: card },
  getOperation: {
    least: "reader",
    status: 200,
    foreign: [404, "UNKNOWN_OPERATION"],
    path: { operation: `${ids.card}.4` },
  },
} satisfies Partial<Record<OperationId, Row>>;

const openstackRows = {
  checkOpenstack: { least: "admin", status: 200, foreign: "same" },
  importOpenstack: { least: "admin", status: 409, foreign: "same", body: body({ dryRun: true }) },
} satisfies Partial<Record<OperationId, Row>>;

const claimRows = {
  createClaims: {
    least: "member",
    status: 201,
    foreign: noImage,
    body: body({ image: ids.image, resourceClass: pf }),
  },
  listClaims: {
    least: "reader",
    status: 200,
    foreign: "same",
    query: { instance: ids.instance },
  },
  getClaim: { least: "reader", status: 200, foreign: noClaim, path: claim },
  releaseClaim: { least: "member", status: 202, foreign: noClaim, path: claim },
  attachClaim: {
    least: "member",
    status: 202,
    foreign: noClaim,
    path: claim,
    body: body({ hypervisor: "libvirt", domain: "guest1" }),
  },
  detachClaim: { least: "member", status: 202, foreign: noClaim, path: claim },
  renewClaim: {
    least: "member",
    status: 200,
    foreign: noClaim,
    path: claim,
    body: body({ leaseSeconds: 900 }),
  },
  programClaim: {
    least: "member",
    status: 202,
    foreign: noClaim,
    path: claim,
    body: body({ image: ids.image, force: true }),
  },
} satisfies Partial<Record<OperationId, Row>>;

/** Every route's row. That one is missing shows in the test, by its name. */
export const nativeRows: Readonly<Record<string, Row>> = {
  ...settingRows,
  ...imageRows,
  ...hostRows,
  ...deployableRows,
  ...claimRows,
  ...openstackRows,
};
