import { createPrivateKey, createPublicKey, type KeyObject } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { DeployableView, ReceiptView } from "#protocol/http/deployables";
import { signedReceipt } from "#protocol/http/receipts";
import type { QuotaView } from "#protocol/http/settings";
import { chainStart, receiptDigest, receiptVerifies } from "#protocol/wire/receipt";
import type { KernelState } from "../../agent/host/memory-kernel/state.ts";
import { kernelFile, stateDirOf } from "./agent.ts";
import type { Caller } from "./caller.ts";
import type { Picture } from "./calm.ts";
import { type Held, sharedHandles, type Violation } from "./ledger.ts";

const found = (check: string, whats: readonly string[]): readonly Violation[] =>
  whats.map((what) => ({ check, what }));

/** I1: a handle has one claim at most, and the two name each other under one fence. */
export function oneHolder({ claims, deployables }: Picture, held: Iterable<Held>) {
  const handles = new Map(
    deployables.flatMap(({ id, handles }) => handles.map((one) => [`${id} ${one.name}`, one])),
  );
  const wrong = claims.flatMap((claim) => {
    if (claim.handle === undefined || claim.deployable === undefined) return [];
    const handle = handles.get(`${claim.deployable} ${claim.handle}`);
    if (handle?.claim === claim.id && handle.fence === claim.fence) return [];
    return [`${claim.id} is on ${claim.handle}, which says ${JSON.stringify(handle)}`];
  });
  const known = new Set(claims.map(({ id }) => id));
  const stray = [...handles].flatMap(([name, { claim }]) =>
    claim === undefined || known.has(claim) ? [] : [`${name} is held by ${claim}, which is gone`],
  );
  return found("a handle has one holder", [...wrong, ...stray, ...sharedHandles(held)]);
}

/** What was answered exists, what was released does not, and nothing exists that nobody asked for. */
export function answersKept({ claims }: Picture, held: ReadonlyMap<string, Held>) {
  const known = new Map(claims.map((claim) => [claim.id, claim]));
  const lost = [...held.values()].filter(({ id, release }) => release === "no" && !known.has(id));
  const back = [...held.values()].filter(({ id, release }) => release === "done" && known.has(id));
  const stray = claims.filter(({ id, state }) => !held.has(id) && state !== "Initial");
  return found("what was answered is kept", [
    ...lost.map(({ id }) => `${id} is lost`),
    ...back.map(({ id }) => `${id} was released and is there`),
    ...stray.map(({ id, state }) => `${id} is ${state} and nobody asked for it`),
  ]);
}

/** I3: what a project has used of its quota is what it holds. */
export function quotasEqual({ claims }: Picture, quotas: readonly QuotaView[]) {
  const count = (project: string, resourceClass: string) =>
    claims.filter((one) => one.project === project && one.resourceClass === resourceClass).length;
  const wrong = quotas.flatMap(({ project, resourceClass, used, left, limit }) => {
    const held = count(project, resourceClass);
    if (held === used && limit - left === used) return [];
    return [`${project} ${resourceClass}: holds ${held}, used ${used}, left ${left} of ${limit}`];
  });
  return found("quota equals what is held", wrong);
}

/** Every receipt follows the one before it and was signed by its host's agent. */
export function chainHolds(receipts: readonly ReceiptView[], key: KeyObject) {
  const inOrder = [...receipts].sort((one, other) => one.number - other.number);
  let previous = chainStart;
  const wrong = inOrder.flatMap((receipt, index) => {
    const signed = signedReceipt(receipt);
    const { body } = signed;
    const name = `${receipt.deployable} ${receipt.number}`;
    const linked = receipt.number === index + 1 && receipt.previous === previous;
    previous = receiptDigest(body);
    return [
      ...(linked ? [] : [`${name} does not follow the one before`]),
      ...(receiptVerifies(signed, key) ? [] : [`${name} is not signed by its host`]),
    ];
  });
  return found("receipt chains hold", wrong);
}

/** The public half of a host's own key. */
export function agentKeyOf(hostDir: string): KeyObject {
  const text = readFileSync(join(stateDirOf(hostDir), "agent.key"), "utf8");
  return createPublicKey(createPrivateKey(text));
}

/** A host's kernel as it is on disk. */
export function kernelOf(hostDir: string): KernelState {
  return JSON.parse(readFileSync(kernelFile(hostDir), "utf8")) as KernelState;
}

/** What is free has nothing of a tenant left in it and is back with its own driver. */
export function cleanBeforeOffer(deployables: readonly DeployableView[], kernel: KernelState) {
  const wrong = deployables.flatMap(({ id, region, handles }) => {
    const isFree = handles.every(({ state }) => state === "free");
    return handles.flatMap(({ name, state, pciAddress }) => {
      const fn = kernel.functions.find(({ address }) => address === pciAddress);
      const card = kernel.cards.find((one) => one.id === fn?.card);
      const part = card?.regions.find(({ key }) => key === region);
      if (state !== "free") return [];
      return [
        ...(fn?.dirty === true ? [`${id} ${name} is free and dirty`] : []),
        ...(isFree && part?.dirty === true ? [`${id} is free and its region dirty`] : []),
        ...(fn?.driver === "vfio-pci" ? [`${id} ${name} is free and bound to vfio-pci`] : []),
      ];
    });
  });
  return found("scrubbed before offered again", wrong);
}

/** A plugged handle is with the pass-through driver: nothing took it from its guest. */
export function guestsKeep(deployables: readonly DeployableView[], kernel: KernelState) {
  const wrong = deployables.flatMap(({ id, handles }) =>
    handles.flatMap(({ name, state, pciAddress }) => {
      const fn = kernel.functions.find(({ address }) => address === pciAddress);
      return state !== "plugged" || fn?.driver === "vfio-pci"
        ? []
        : [`${id} ${name} is plugged and has driver ${fn?.driver ?? "none"}`];
    }),
  );
  return found("a guest has what it was given", wrong);
}

/** Every check on the system at rest. */
export async function checkAll(
  caller: Caller,
  picture: Picture,
  {
    held,
    hosts,
  }: {
    readonly held: ReadonlyMap<string, Held>;
    readonly hosts: readonly { readonly name: string; readonly dir: string }[];
  },
): Promise<readonly Violation[]> {
  const violations: Violation[] = [
    ...oneHolder(picture, held.values()),
    ...answersKept(picture, held),
    ...quotasEqual(picture, await quotasOf(caller, picture, held)),
  ];
  for (const { name, dir } of hosts) {
    const own = picture.deployables.filter(({ hostName }) => hostName === name);
    const kernel = kernelOf(dir);
    violations.push(...cleanBeforeOffer(own, kernel), ...guestsKeep(own, kernel));
    for (const { id } of own) {
      const receipts = await caller.list<ReceiptView>(`/v1/deployables/${id}/receipts`);
      violations.push(...chainHolds(receipts, agentKeyOf(dir)));
    }
  }
  return violations;
}

async function quotasOf(
  caller: Caller,
  { claims }: Picture,
  held: ReadonlyMap<string, Held>,
): Promise<readonly QuotaView[]> {
  const projects = new Set([...claims, ...held.values()].map(({ project }) => project));
  const lists = [...projects].map(async (project) => {
    const reply = await caller.once({ method: "GET", path: "/v1/quotas?limit=200", project });
    return (reply.body as { items?: QuotaView[] } | undefined)?.items ?? [];
  });
  return (await Promise.all(lists)).flat();
}
