import { setTimeout as pause } from "node:timers/promises";
import type { ClaimView } from "#protocol/http/claims";
import { type Ask, type Caller, isDone, isFinal, type Reply } from "./caller.ts";
import type { Asked, Held, Ledger } from "./ledger.ts";
import type { Seeded } from "./seeded.ts";

/** What a client works with. */
export interface ClientParts {
  readonly caller: Caller;
  readonly ledger: Ledger;
  readonly random: Seeded;
  readonly project: string;
  /** Images that anyone may load. */
  readonly images: readonly string[];
  /** Set when the faults of this round are over: what is under way ends, nothing new begins. */
  readonly over: AbortSignal;
}

/** Most claims that one client keeps from round to round. */
const mostKept = 2;

/** Claims, lets guests in and out, programs, releases, and repeats what was not answered. */
export async function runNativeClient(parts: ClientParts): Promise<void> {
  const { over, random } = parts;
  while (!over.aborted) {
    await pause(random.below(150));
    const mine = ownClaims(parts);
    const few = mine.length < mostKept;
    if (few || random.chance(0.3)) await claim(parts, wanted(parts));
    else await act(parts, random.of(mine));
    await look(parts);
  }
}

function ownClaims({ ledger, project }: ClientParts): readonly Held[] {
  return [...ledger.held.values()].filter(
    (one) => one.project === project && one.release === "no" && one.instance === undefined,
  );
}

function wanted({ random, images }: ClientParts): object {
  const intel = { resourceClass: "CUSTOM_FPGA_INTEL_VF" };
  const image = images.length === 0 ? intel : { image: random.of(images) };
  return random.of([
    intel,
    image,
    image,
    { resourceClass: "CUSTOM_FPGA_INSPUR_VF" },
    { resourceClass: "CUSTOM_FPGA_INSPUR_VF", count: 2 },
  ]);
}

async function claim(parts: ClientParts, body: object): Promise<void> {
  const { ledger, project } = parts;
  const key = keyOf(parts);
  const asked: Asked = { key, project, body, state: "open", unsure: false, ids: [] };
  ledger.asked.set(key, asked);
  await askAgain(parts, asked);
  // The same request once more: whoever lost an answer does so.
  if (asked.state === "granted" && parts.random.chance(0.3)) await askOnce(parts, asked);
}

const keyOf = ({ random, project }: ClientParts) =>
  `${project}-${[0, 1, 2].map(() => random.below(2 ** 31).toString(36)).join("")}`;

/** Asks until the answer is final or the round is over. */
async function askAgain(parts: ClientParts, asked: Asked): Promise<void> {
  while (!parts.over.aborted && asked.state === "open") {
    await askOnce(parts, asked);
    if (asked.state === "open") await pause(100);
  }
}

/** One try of a request for claims, written down. */
export async function askOnce(
  { caller, ledger }: Pick<ClientParts, "caller" | "ledger">,
  asked: Asked,
): Promise<void> {
  const { key, project, body } = asked;
  const reply = await caller.once({ method: "POST", path: "/v1/claims", project, key, body });
  if (isDone(reply)) {
    ledger.granted(asked, (reply.body as { claims: ClaimView[] }).claims, reply);
  } else if (isFinal(reply)) {
    if (asked.state === "granted") {
      ledger.violated("one answer for one key", `${key}: granted, then ${codeOf(reply)}`);
    }
    if (asked.state === "open") ledger.counts.refused += 1;
    asked.state = "refused";
  } else {
    if (!asked.unsure) ledger.counts.unsure += 1;
    asked.unsure = true;
  }
}

const codeOf = ({ status, body }: Reply) =>
  `${status} ${String((body as { code?: unknown } | undefined)?.code)}`;

async function act(parts: ClientParts, held: Held): Promise<void> {
  const { random, images } = parts;
  const choice = random.below(10);
  if (choice < 4) await release(parts, held);
  else if (choice < 7) await plug(parts, held, held.plugged !== true);
  else if (choice < 8 && images.length > 0) await program(parts, held);
}

async function plug(parts: ClientParts, held: Held, isIn: boolean): Promise<void> {
  const path = `/v1/claims/${held.id}/${isIn ? "attach" : "detach"}`;
  const body = isIn ? { hypervisor: "libvirt", domain: "guest" } : undefined;
  held.plugged = undefined;
  const reply = await untilFinal(parts, { ...asking(parts, path), ...(body && { body }) });
  if (!isDone(reply)) return;
  held.plugged = isIn;
  if (isIn) parts.ledger.counts.attached += 1;
}

async function program(parts: ClientParts, held: Held): Promise<void> {
  const body = { image: parts.random.of(parts.images), replug: true };
  await untilFinal(parts, { ...asking(parts, `/v1/claims/${held.id}/program`), body });
}

const asking = (parts: ClientParts, path: string): Ask => ({
  method: "POST",
  path,
  project: parts.project,
  key: keyOf(parts),
});

async function untilFinal(parts: ClientParts, ask: Ask): Promise<Reply> {
  for (;;) {
    const reply = await parts.caller.once(ask);
    if (isFinal(reply) || parts.over.aborted) return reply;
    await pause(100);
  }
}

/** From the request on nobody may count on the claim any more. */
async function release(parts: ClientParts, held: Held): Promise<void> {
  held.release = "asked";
  const { project } = held;
  const path = `/v1/claims/${held.id}`;
  const reply = await untilFinal(parts, { method: "DELETE", path, project, key: keyOf(parts) });
  finish(parts.ledger, held, reply);
}

/** 404 to a release that was not answered before means that it was done. */
export function finish(ledger: Ledger, held: Held, reply: Reply): void {
  if (!isFinal(reply)) return;
  if (!isDone(reply) && reply.status !== 404) {
    ledger.violated("a release is taken", `${held.id}: ${codeOf(reply)}`);
  }
  held.release = "done";
  ledger.counts.released += 1;
}

async function look(parts: ClientParts): Promise<void> {
  const { caller, ledger } = parts;
  for (const { id, project } of ownClaims(parts)) {
    const reply = await caller.once({ method: "GET", path: `/v1/claims/${id}`, project });
    if (isDone(reply)) ledger.saw(reply.body as ClaimView, reply);
    else if (isFinal(reply) && ledger.held.get(id)?.release === "no") {
      ledger.violated("what was answered is kept", `${id}: ${codeOf(reply)}`);
    }
  }
}
