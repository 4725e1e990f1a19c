import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type OperationId, routes } from "#protocol/http/routes";
import { globalFlags } from "../../cli/command.ts";
import { commands } from "../../cli/commands.ts";
import { type FakeService, startFakeService } from "./fake-service.ts";
import { cardOperation, ids } from "./samples.ts";
import { createShell } from "./shell.ts";

let service: FakeService;
beforeAll(async () => {
  service = await startFakeService();
});
beforeEach(() => service.reset());
afterAll(() => service.close());

const run = (...argv: string[]) =>
  createShell({ env: { GATEHOUSE_URL: service.url }, files: { "key.pub": "PEM" } }).run(...argv);

/** Command line, operation, path parameters, body or query. */
const cases: readonly [string, OperationId, object, object?][] = [
  [
    "images list --state active --type crypto --vendor intel",
    "listImages",
    {},
    { state: "active", type: "crypto", vendor: "intel" },
  ],
  [`images show ${ids.image}`, "getImage", { image: ids.image }],
  [`images retire ${ids.image}`, "retireImage", { image: ids.image }],
  ["keys add key.pub --name ci", "createKey", {}, { name: "ci", publicKey: "PEM" }],
  ["openstack check", "checkOpenstack", {}],
  ["openstack import --dry-run", "importOpenstack", {}, { dryRun: true }],
  ["openstack import", "importOpenstack", {}, { dryRun: false }],
  ["keys list", "listKeys", {}],
  [`keys show ${ids.key}`, "getKey", { key: ids.key }],
  [`keys revoke ${ids.key}`, "revokeKey", { key: ids.key }],
  ["hosts add node1", "createHost", {}, { name: "node1" }],
  ["hosts list --name node1", "listHosts", {}, { name: "node1" }],
  ["hosts show node1", "getHost", { host: ids.host }],
  [`hosts token ${ids.host}`, "createJoinToken", { host: ids.host }],
  ["hosts drain node1", "drainHost", { host: ids.host }],
  ["hosts activate node1", "activateHost", { host: ids.host }],
  ["hosts revoke node1", "revokeHost", { host: ids.host }],
  ["hosts remove node1", "removeHost", { host: ids.host }],
  ["devices list --host node1", "listDevices", {}, { host: ids.host }],
  [`devices show ${ids.device}`, "getDevice", { device: ids.device }],
  [
    `devices layout ${ids.device} vfs --vfs 4`,
    "operateDevice",
    { device: ids.device },
    { kind: "layout", layout: "vfs", vfs: 4 },
  ],
  [
    `devices layout ${ids.device} pf --no-wait`,
    "operateDevice",
    { device: ids.device },
    { kind: "layout", layout: "pf" },
  ],
  [`devices rebind ${ids.device}`, "operateDevice", { device: ids.device }, { kind: "rebind" }],
  [`devices rescan ${ids.device}`, "operateDevice", { device: ids.device }, { kind: "rescan" }],
  [
    `devices operation ${ids.device} ${cardOperation.id}`,
    "getDeviceOperation",
    { device: ids.device, operation: cardOperation.id },
  ],
  [
    "deployables list --host node1 --resource-class FPGA --state ready",
    "listDeployables",
    {},
    { host: ids.host, resourceClass: "FPGA", state: "ready" },
  ],
  [`deployables show ${ids.deployable}`, "getDeployable", { deployable: ids.deployable }],
  [`deployables enable ${ids.deployable}`, "enableDeployable", { deployable: ids.deployable }],
  [`deployables disable ${ids.deployable}`, "disableDeployable", { deployable: ids.deployable }],
  [
    `deployables takeover ${ids.deployable} pf --reason dead`,
    "takeOverHandle",
    { deployable: ids.deployable },
    { handle: "pf", reason: "dead" },
  ],
  [
    `deployables program ${ids.deployable} --image ${ids.image}`,
    "programDeployable",
    { deployable: ids.deployable },
    { image: ids.image },
  ],
  [
    `deployables receipts ${ids.deployable} --limit 5`,
    "listReceipts",
    { deployable: ids.deployable },
    { limit: "5" },
  ],
  [`deployables operations ${ids.deployable}`, "listOperations", { deployable: ids.deployable }],
  [
    `claims create --host node1 --type crypto --trait A --trait B --forbid-trait C --resource-class FPGA --count 2 --instance i1 --lease 15m`,
    "createClaims",
    {},
    {
      host: "node1",
      type: "crypto",
      traits: ["A", "B"],
      forbiddenTraits: ["C"],
      resourceClass: "FPGA",
      count: 2,
      instance: "i1",
      leaseSeconds: 900,
    },
  ],
  [
    `claims create --image ${ids.image} --deployable ${ids.deployable}`,
    "createClaims",
    {},
    { image: ids.image, deployable: ids.deployable },
  ],
  ["claims create --profile crypto", "createClaims", {}, { profile: "crypto" }],
  ["claims list --instance i1 --all-projects", "listClaims", {}, { instance: "i1", all: "true" }],
  [`claims show ${ids.claim}`, "getClaim", { claim: ids.claim }],
  [`claims release ${ids.claim}`, "releaseClaim", { claim: ids.claim }],
  [
    `claims attach ${ids.claim} --hypervisor cdi --no-wait`,
    "attachClaim",
    { claim: ids.claim },
    { hypervisor: "cdi" },
  ],
  [
    `attach ${ids.claim} --hypervisor libvirt --domain vm1 --no-wait`,
    "attachClaim",
    { claim: ids.claim },
    { hypervisor: "libvirt", domain: "vm1" },
  ],
  [
    `attach ${ids.claim} --hypervisor qemu --domain vm1 --bus hp3 --no-wait`,
    "attachClaim",
    { claim: ids.claim },
    { hypervisor: "qemu", domain: "vm1", bus: "hp3" },
  ],
  [`claims detach ${ids.claim}`, "detachClaim", { claim: ids.claim }],
  [
    `claims renew ${ids.claim} --lease 2h`,
    "renewClaim",
    { claim: ids.claim },
    { leaseSeconds: 7200 },
  ],
  [
    `program ${ids.claim} --image ${ids.image} --force --replug`,
    "programClaim",
    { claim: ids.claim },
    { image: ids.image, force: true, replug: true },
  ],
  [
    "explain --resource-class FPGA --count 2",
    "explainClaim",
    {},
    { resourceClass: "FPGA", count: 2 },
  ],
  [
    "profiles create crypto --group resources:FPGA=1,trait:X=required --description d",
    "createProfile",
    {},
    {
      name: "crypto",
      description: "d",
      groups: [{ "resources:FPGA": "1", "trait:X": "required" }],
    },
  ],
  ["profiles list", "listProfiles", {}],
  ["profiles show crypto", "getProfile", { profile: "crypto" }],
  ["profiles delete crypto", "deleteProfile", { profile: "crypto" }],
  ["quotas list", "listQuotas", {}],
  ["quotas show p1", "getQuotas", { project: "p1" }],
  ["quotas set p1 FPGA 8", "setQuota", { project: "p1", resourceClass: "FPGA" }, { limit: 8 }],
  [
    `events --claim ${ids.claim} --deployable ${ids.deployable} --image ${ids.image} --host node1 --since 2026-01-01T00:00:00Z`,
    "listEvents",
    {},
    {
      claim: ids.claim,
      deployable: ids.deployable,
      image: ids.image,
      host: ids.host,
      since: "2026-01-01T00:00:00Z",
    },
  ],
  [`operations show ${ids.operation}`, "getOperation", { operation: ids.operation }],
  ["traits list --host node1", "listTraits", {}, { host: ids.host }],
  ["classes list", "listResourceClasses", {}],
  ["status", "describeService", {}],
];

describe("every command", () => {
  test.each(cases)("`%s` calls %s", async (line, operation, params, sent) => {
    const { code, out } = await run(...line.split(" "));
    expect(service.violations).toEqual([]);
    expect(code).toBe(0);
    expect(out).not.toBe("");
    const request = service.received.find((one) => one.operation === operation);
    expect(request?.params).toEqual(params);
    if (sent !== undefined) expect(request?.body ?? request?.query).toEqual(sent);
  });

  test.each(cases)("`%s` prints JSON with --json", async (line) => {
    const { code, out, err } = await run(...line.split(" "), "--json");
    expect(code, err).toBe(0);
    expect(JSON.parse(out)).toBeTypeOf("object");
  });

  test("declares exactly the operations it calls among those of the table", () => {
    const called = new Set(commands.flatMap((command) => command.calls));
    const unused = Object.keys(routes).filter((id) => !called.has(id as OperationId));
    // Agents call join and exchange; the other two answer to machines, not in our schemas.
    expect(unused).toEqual(["openapi", "metrics", "join", "exchange"]);
  });

  test("is exercised by this list or by a test of its own", () => {
    const own = [
      "images upload",
      "images sign",
      "images manifest",
      "images keygen",
      "deployables verify",
      "audit",
      "watch",
      "completion",
      "help",
    ];
    const lines = cases.map(([line]) => line);
    const missing = commands
      .map((command) => command.words.join(" "))
      .filter((words) => !lines.some((line) => `${line} `.startsWith(`${words} `)));
    expect(missing).toEqual(own);
  });
});

describe("the command table", () => {
  test("gives a flag one kind everywhere, which parsing relies on", () => {
    const kinds = new Map<string, string>();
    for (const flag of [...globalFlags, ...commands.flatMap((one) => one.flags ?? [])]) {
      const before = kinds.get(flag.name);
      // A list, a number and a text all take one value; only a switch takes none.
      expect(before ?? flag.kind, flag.name).toBe(flag.kind);
      kinds.set(flag.name, flag.kind);
    }
  });

  test("has no command twice, and no command's flag hides a global one", () => {
    const names = commands.map((command) => command.words.join(" "));
    expect(new Set(names).size).toBe(names.length);
    const global = new Set(globalFlags.map((flag) => flag.name));
    const hidden = commands
      .flatMap((one) => one.flags ?? [])
      .filter(({ name }) => global.has(name));
    expect(hidden).toEqual([]);
  });
});

describe("help", () => {
  test.each(commands.map((command) => [command.words.join(" "), command] as const))(
    "of `%s` tells its summary, arguments and flags, in all three ways of asking",
    async (words, command) => {
      const helped = await run("help", ...command.words);
      expect(helped.code).toBe(0);
      expect(helped.out).toContain(`Usage: gatehouse ${words}`);
      expect(helped.out).toContain(command.summary);
      for (const { name } of command.flags ?? []) expect(helped.out).toContain(`--${name}`);
      for (const { name, help } of command.arguments ?? []) {
        expect(helped.out).toContain(name);
        expect(helped.out).toContain(help);
      }
      expect((await run(...command.words, "--help")).out).toBe(helped.out);
      expect((await run("-h", ...command.words)).out).toBe(helped.out);
      expect(service.received).toEqual([]);
    },
  );

  test("without a command lists all of them", async () => {
    const { code, out } = await run();
    expect(code).toBe(0);
    for (const { words } of commands) expect(out).toContain(`  ${words.join(" ")}`);
    expect((await run("--help")).out).toBe(out);
    expect((await run("help")).out).toBe(out);
  });

  test("of a noun lists its verbs", async () => {
    const { code, out } = await run("help", "quotas");
    expect(code).toBe(0);
    expect(out.match(/gatehouse quotas \w+/g)).toEqual([
      "gatehouse quotas list",
      "gatehouse quotas show",
      "gatehouse quotas set",
    ]);
  });

  test("of nothing known suggests the nearest", async () => {
    const { code, err } = await run("help", "quota");
    expect(code).toBe(2);
    expect(err).toContain("unknown command quota; did you mean quotas?");
  });
});
