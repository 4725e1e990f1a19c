import { generateKeyPairSync } from "node:crypto";
import { build } from "esbuild";
import { expect, test } from "vitest";
import type { ClaimView } from "#protocol/http/claims";
import type { DeployableView, ReceiptView } from "#protocol/http/deployables";
import { uuidOf } from "#protocol/uuid";
import { chainStart, receiptDigest, signReceipt } from "#protocol/wire/receipt";
import { dflCard } from "../../agent/host/memory-kernel/cards.ts";
import { memoryKernel } from "../../agent/host/memory-kernel/kernel.ts";
import { readService } from "../../localstack/gateway/service.ts";
import { type Picture, unsettled } from "./calm.ts";
import {
  answersKept,
  chainHolds,
  cleanBeforeOffer,
  guestsKeep,
  oneHolder,
  quotasEqual,
} from "./checks.ts";
import { HighMarks, seeDeployables } from "./fence-watch.ts";
import { type Asked, type Held, Ledger, sharedHandles } from "./ledger.ts";

const dpl = uuidOf("dpl");
const idOf = (name: string) => uuidOf("claim", name);

const claimed = (name: string, more: Partial<ClaimView> = {}): ClaimView => ({
  id: idOf(name),
  project: "ash",
  state: "Bound",
  resourceClass: "CUSTOM_FPGA_INTEL_VF",
  deployable: dpl,
  handle: "vf0",
  fence: 3,
  plugged: false,
  createdAt: "2026-01-01T00:00:00Z",
  updatedAt: "2026-01-01T00:00:00Z",
  ...more,
});

const handleOf = (more: Partial<DeployableView["handles"][number]> = {}) => ({
  name: "vf0",
  type: "VF" as const,
  pciAddress: "0000:10:00.1",
  attachable: true,
  fence: 3,
  state: "claimed" as const,
  ...more,
});

const deployableOf = (...handles: DeployableView["handles"]): DeployableView =>
  ({
    id: dpl,
    hostName: "host-1",
    region: "port0",
    imageGeneration: 2,
    revision: 5,
    notOffered: [],
    handles,
  }) as unknown as DeployableView;

const heldOf = (name: string, more: Partial<Held> = {}): Held => ({
  id: idOf(name),
  project: "ash",
  from: 0,
  to: 10,
  bound: true,
  plugged: false,
  release: "no",
  ...more,
});

const picture = (claims: ClaimView[], ...handles: DeployableView["handles"]): Picture => ({
  claims,
  deployables: [deployableOf(...handles)],
});

const mapOf = (...held: Held[]) => new Map(held.map((one) => [one.id, one]));
const reply = (sent: number, heard: number) => ({ status: 200, body: undefined, sent, heard });

test("a claim and its handle that name each other are well", () => {
  const seen = picture([claimed("a")], handleOf({ claim: idOf("a") }));
  expect(oneHolder(seen, [])).toEqual([]);
});

test.each([
  ["another holder", handleOf({ claim: idOf("b") })],
  ["another fence", handleOf({ claim: idOf("a"), fence: 4 })],
  ["no holder", handleOf()],
])("a claim whose handle says %s is found", (_what, handle) => {
  const found = oneHolder(picture([claimed("a"), claimed("b", { handle: "vf9" })], handle), []);
  expect(found.map(({ check }) => check)).toContain("a handle has one holder");
});

test("two owners that saw a handle as theirs at one time are found, one after the other are not", () => {
  const place = (fence: number) => ({ deployable: dpl, handle: "vf0", fence });
  const first = heldOf("a", { place: place(1), from: 0, to: 10 });
  const overlapping = heldOf("b", { place: place(2), from: 9, to: 20 });
  expect(sharedHandles([first, overlapping])).toHaveLength(1);
  expect(sharedHandles([first, { ...overlapping, from: 11 }])).toEqual([]);
  expect(sharedHandles([first, { ...overlapping, from: 11, place: place(1) }])).toHaveLength(1);
});

test("a lost claim, one that came back and one that nobody asked for are found", () => {
  const held = mapOf(heldOf("lost"), heldOf("back", { release: "done" }));
  const found = answersKept(picture([claimed("back"), claimed("stray")]), held);
  expect(found.map(({ what }) => what)).toEqual([
    expect.stringContaining("is lost"),
    expect.stringContaining("was released"),
    expect.stringContaining("nobody asked"),
  ]);
});

test("a quota that is not what is held is found", () => {
  const quota = { project: "ash", resourceClass: "CUSTOM_FPGA_INTEL_VF", limit: 64 };
  const seen = picture([claimed("a")]);
  expect(quotasEqual(seen, [{ ...quota, used: 1, left: 63 }])).toEqual([]);
  expect(quotasEqual(seen, [{ ...quota, used: 2, left: 62 }])).toHaveLength(1);
});

test("a counter that falls is found", () => {
  const [ledger, marks] = [new Ledger(), new HighMarks()];
  seeDeployables(marks, ledger, [deployableOf(handleOf({ fence: 4 }))]);
  seeDeployables(marks, ledger, [deployableOf(handleOf({ fence: 5 }))]);
  expect(ledger.violations).toEqual([]);
  seeDeployables(marks, ledger, [deployableOf(handleOf({ fence: 4 }))]);
  expect(ledger.violations.map(({ check }) => check)).toEqual(["counters never fall"]);
});

test("a second answer to a key that names another claim is found", () => {
  const ledger = new Ledger();
  const asked: Asked = {
    key: "k",
    project: "ash",
    body: {},
    state: "open",
    unsure: false,
    ids: [],
  };
  ledger.granted(asked, [claimed("a")], reply(0, 1));
  ledger.granted(asked, [claimed("a")], reply(2, 3));
  expect(ledger.violations).toEqual([]);
  ledger.granted(asked, [claimed("b")], reply(4, 5));
  expect(ledger.violations.map(({ check }) => check)).toEqual(["one answer for one key"]);
});

test.each([
  ["fails", { state: "BindFailed" as const }],
  ["moves to another handle", { handle: "vf1" }],
  ["gets another fence", { fence: 9 }],
])("a bound claim that %s is found", (_what, change) => {
  const ledger = new Ledger();
  ledger.take(claimed("a"), reply(0, 1));
  ledger.saw(claimed("a"), reply(2, 3));
  expect(ledger.violations).toEqual([]);
  ledger.saw(claimed("a", change), reply(4, 5));
  expect(ledger.violations.map(({ check }) => check)).toEqual(["a bound claim stays bound"]);
});

test("what has not settled is said: a bind under way, a dirty handle, a card off offer, a plug", () => {
  const one = deployableOf(handleOf({ state: "releasing" }));
  const seen: Picture = {
    claims: [claimed("a", { state: "BindStarted" }), claimed("b")],
    deployables: [{ ...one, notOffered: ["no handle is free", "it is scrubbing"] }],
  };
  const left = unsettled(seen, mapOf(heldOf("b", { plugged: true })));
  expect(left).toHaveLength(4);
  expect(unsettled(picture([claimed("b")], handleOf()), mapOf(heldOf("b")))).toEqual([]);
});

const { privateKey, publicKey } = generateKeyPairSync("ed25519");

function chain(): ReceiptView[] {
  let previous = chainStart;
  return [1, 2, 3].map((number) => {
    const body = {
      deployable: dpl,
      number,
      previous,
      kind: "scrub" as const,
      imageGeneration: number,
      functionId: null,
      fences: { vf0: number },
      bootId: uuidOf("boot"),
      at: 1_700_000_000_000,
    };
    previous = receiptDigest(body);
    const { signature } = signReceipt(body, privateKey);
    return { ...body, at: new Date(body.at).toISOString(), signature, digest: previous };
  });
}

test("a chain that misses a link, was changed or was signed by another is found", () => {
  const [first, second, third] = chain();
  if (first === undefined || second === undefined || third === undefined) throw new Error("short");
  expect(chainHolds([third, first, second], publicKey)).toEqual([]);
  expect(chainHolds([first, third], publicKey).length).toBeGreaterThan(0);
  const changed = { ...second, fences: { vf0: 7 } };
  expect(chainHolds([first, changed, third], publicKey).length).toBeGreaterThan(0);
  const other = generateKeyPairSync("ed25519").publicKey;
  expect(chainHolds([first], other)).toHaveLength(1);
});

test("what a guest left in a free handle is found, and a guest that lost its handle", async () => {
  const kernel = memoryKernel({ cards: [dflCard(0)], bootId: uuidOf("boot") });
  const vf = kernel.snapshot().functions.find(({ role }) => role === "vf");
  if (vf === undefined) throw new Error("no VF");
  const { address: pciAddress, group } = vf;
  const free = [deployableOf(handleOf({ state: "free", pciAddress }))];
  const plugged = [deployableOf(handleOf({ state: "plugged", pciAddress }))];
  expect(cleanBeforeOffer(free, kernel.snapshot())).toEqual([]);
  expect(guestsKeep(plugged, kernel.snapshot())).toHaveLength(1);
  const at = `/sys/bus/pci/devices/${pciAddress}`;
  if (vf.driver !== null) await kernel.write(`${at}/driver/unbind`, pciAddress, 1000);
  await kernel.write(`${at}/driver_override`, "vfio-pci", 1000);
  await kernel.write("/sys/bus/pci/drivers_probe", pciAddress, 1000);
  await kernel.open(`/dev/vfio/${group}`, { pid: 1, command: "guest" });
  expect(guestsKeep(plugged, kernel.snapshot())).toEqual([]);
  const found = cleanBeforeOffer(free, kernel.snapshot()).map(({ what }) => what);
  expect(found).toEqual([
    expect.stringContaining("free and dirty"),
    expect.stringContaining("region dirty"),
    expect.stringContaining("bound to vfio-pci"),
  ]);
});

/** What is packaged: the agent, its helper's entry, the CLI and every function. */
const programs = [
  "agent/main.ts",
  "cli/main.ts",
  ...readService("serverless.yml").functions.map(({ handler }) => handler.replace(/\.\w+$/, ".ts")),
];

test("nothing that is packaged holds the failpoints or anything else of the tests", async () => {
  const { outputFiles, metafile } = await build({
    entryPoints: [...new Set(programs)],
    bundle: true,
    platform: "node",
    format: "cjs",
    outdir: "out",
    write: false,
    metafile: true,
    logLevel: "silent",
  });
  expect(outputFiles).toHaveLength(new Set(programs).size);
  expect(Object.keys(metafile.inputs).filter((path) => /^(test|localstack)\//.test(path))).toEqual(
    [],
  );
  for (const { text } of outputFiles) expect(text).not.toContain("GATEHOUSE_FAILPOINTS");
}, 30_000);
