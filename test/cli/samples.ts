import type { OperationId } from "#protocol/http/routes";

// One answer for every operation, true to its schema (the fake service checks that).

const at = "2026-01-02T03:04:05.000Z";
export const ids = {
  image: "10000000-0000-4000-8000-000000000001",
  host: "20000000-0000-4000-8000-000000000002",
  device: "30000000-0000-4000-8000-000000000003",
  deployable: "40000000-0000-4000-8000-000000000004",
  claim: "50000000-0000-4000-8000-000000000005",
  profile: "60000000-0000-4000-8000-000000000006",
  operation: "40000000-0000-4000-8000-000000000004/7",
  key: "ed25519:17ec276bbd511ab20d86ccac38d6d946",
};

export const image = {
  id: ids.image,
  project: "p1",
  name: "aes.gbs",
  vendor: "intel",
  type: "crypto",
  visibility: "private",
  state: "active",
  objectKey: "images/p1/aa",
  traits: [],
  createdAt: at,
  updatedAt: at,
};

const host = {
  id: ids.host,
  name: "node1",
  state: "online",
  joined: true,
  revoked: false,
  epoch: 1,
  createdAt: at,
};

export const deployable = {
  id: ids.deployable,
  host: ids.host,
  hostName: "node1",
  device: ids.device,
  region: "0",
  kind: "FPGA",
  vendor: "intel",
  product: "n3000",
  driver: "dfl",
  layout: "pf",
  address: "0000:3b:00.0",
  resourceClass: "CUSTOM_FPGA_INTEL_PF",
  traits: ["CUSTOM_FPGA"],
  programmable: true,
  sharing: "none",
  state: "ready",
  offered: true,
  notOffered: [],
  health: { state: "healthy" },
  loaded: { functionId: null },
  clean: true,
  imageGeneration: 3,
  revision: 9,
  handles: [
    {
      name: "pf",
      type: "PF",
      pciAddress: "0000:3b:00.0",
      attachable: true,
      fence: 4,
      state: "free",
    },
  ],
  updatedAt: at,
};

export const claim = {
  id: ids.claim,
  project: "p1",
  state: "Bound",
  resourceClass: "CUSTOM_FPGA_INTEL_PF",
  host: ids.host,
  hostName: "node1",
  deployable: ids.deployable,
  handle: "pf",
  pciAddress: "0000:3b:00.0",
  plugged: false,
  permit: "header.payload.signature",
  createdAt: at,
  updatedAt: at,
};

export const operation = {
  id: ids.operation,
  deployable: ids.deployable,
  imageGeneration: 4,
  kind: "program",
  phase: "writing",
  percent: 40,
  state: "running",
  startedAt: at,
  updatedAt: at,
};

export const explanation = {
  summary: "2 looked at: 1 can serve now, 1 would fit but are not free, 0 cannot serve this",
  fits: 1,
  busy: 1,
  unsuitable: 0,
  deployables: [
    {
      deployable: ids.deployable,
      host: ids.host,
      hostName: "node1",
      resourceClass: "CUSTOM_FPGA_INTEL_PF",
      state: "ready",
      verdict: "fits",
      rank: 0,
      free: 1,
      reasons: ["the wanted image is loaded"],
    },
    {
      deployable: "40000000-0000-4000-8000-0000000000ff",
      host: ids.host,
      hostName: "node1",
      resourceClass: "CUSTOM_FPGA_INTEL_PF",
      state: "ready",
      verdict: "busy",
      free: 0,
      reasons: ["it is claimed", "it is scrubbed first"],
    },
  ],
};

const device = {
  id: ids.device,
  host: ids.host,
  hostName: "node1",
  cardId: "serial-1",
  kind: "FPGA",
  vendor: "intel",
  product: "n3000",
  pciVendor: "8086",
  pciDevice: "0b30",
  address: "0000:3b:00.0",
  driver: "dfl",
  layout: "pf",
  present: true,
  deployables: [ids.deployable],
  updatedAt: at,
};
const receipt = {
  deployable: ids.deployable,
  number: 2,
  previous: "00",
  kind: "program",
  imageGeneration: 3,
  functionId: null,
  fences: { pf: 4 },
  bootId: "boot",
  at,
  signature: "s",
  digest: "d",
};
const key = { id: ids.key, name: "ci", publicKey: "pem", createdAt: at };
const profile = {
  id: ids.profile,
  name: "crypto",
  description: "",
  groups: [{ "resources:FPGA": "1" }],
  createdAt: at,
};
const quota = { project: "p1", resourceClass: "FPGA", limit: 8, used: 3, left: 5 };
export const event = { id: "e1", at, kind: "claim.bound", claim: ids.claim, text: "bound" };
const join = { host, joinToken: "secret-token", expiresAt: at };
const list = (item: unknown) => ({ items: [item] });

export const samples: Record<Exclude<OperationId, "join" | "exchange">, unknown> = {
  describeService: {
    name: "gatehouse",
    version: "0.1.0",
    protocol: 1,
    openapi: "/v1/openapi.json",
    signaturePolicy: "optional",
  },
  openapi: {},
  metrics: {},
  createProfile: profile,
  listProfiles: list(profile),
  getProfile: profile,
  deleteProfile: profile,
  listQuotas: list(quota),
  getQuotas: list(quota),
  setQuota: quota,
  listTraits: list({ name: "CUSTOM_FPGA", deployables: 2, free: 1 }),
  listResourceClasses: list({ name: "FPGA", total: 4, free: 1, held: 3 }),
  listEvents: list(event),
  createImage: {
    image: { ...image, state: "pending" },
    upload: {
      method: "PUT",
      url: "/bucket/images/p1/aa?signature=1",
      headers: { "x-amz-checksum-sha256": "checksum" },
      expiresAt: at,
    },
  },
  listImages: list(image),
  getImage: image,
  retireImage: { ...image, state: "retired" },
  signImage: image,
  createKey: key,
  listKeys: list(key),
  getKey: key,
  revokeKey: { ...key, revokedAt: at },
  createHost: join,
  listHosts: list(host),
  getHost: host,
  removeHost: { ...host, state: "removed" },
  createJoinToken: join,
  drainHost: { ...host, state: "drained" },
  activateHost: host,
  revokeHost: { ...host, revoked: true },
  listDevices: list(device),
  getDevice: device,
  listDeployables: list(deployable),
  getDeployable: deployable,
  explainClaim: explanation,
  programDeployable: operation,
  enableDeployable: deployable,
  disableDeployable: { ...deployable, state: "disabled" },
  takeOverHandle: deployable,
  listReceipts: list(receipt),
  listOperations: list({ ...operation, state: "succeeded", percent: 100 }),
  getOperation: { ...operation, state: "succeeded", percent: 100 },
  createClaims: { claims: [claim] },
  listClaims: list(claim),
  getClaim: claim,
  releaseClaim: { id: ids.claim, deployable: ids.deployable, handle: "pf" },
  attachClaim: claim,
  detachClaim: claim,
  renewClaim: claim,
  programClaim: operation,
};
