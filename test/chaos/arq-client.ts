import { setTimeout as pause } from "node:timers/promises";
import type { ClaimView } from "#protocol/http/claims";
import { uuidOf } from "#protocol/uuid";
import { type Ask, isDone, isFinal, type Reply } from "./caller.ts";
import { type ClientParts, finish } from "./native-client.ts";

/** Where requests can be bound: a host's name and the provider of its cards. */
export interface Provider {
  readonly hostName: string;
  readonly uuid: string;
}

/** Profile that the requests are made from. */
export const arqProfile = "chaos";

const path = "/v2/accelerator_requests";

/** Makes accelerator requests as Nova does, binds them for an instance and deletes them by it. */
export async function runArqClient(
  parts: ClientParts,
  providers: readonly Provider[],
): Promise<void> {
  const { over, random, project } = parts;
  while (!over.aborted) {
    await pause(random.below(300));
    const instance = uuidOf("instance", project, String(random.next()));
    const id = await create(parts);
    if (id === undefined) continue;
    if (await bind(parts, { id, instance, provider: random.of(providers) })) {
      await resolved(parts, id);
    }
    await remove(parts, id, instance);
  }
}

/** A create has no key: one that is not answered may leave requests that end by themselves. */
async function create(parts: ClientParts): Promise<string | undefined> {
  const body = { device_profile_name: arqProfile };
  const reply = await parts.caller.once({ method: "POST", path, ...who(parts), body });
  if (!isDone(reply)) return undefined;
  const id = (reply.body as { arqs: { uuid: string }[] }).arqs[0]?.uuid;
  if (id === undefined) return undefined;
  parts.ledger.take({ id, project: parts.project, instance: "" } as ClaimView, reply);
  parts.ledger.counts.granted += 1;
  return id;
}

const who = ({ project }: ClientParts): Pick<Ask, "project" | "roles"> => ({
  project,
  roles: "member,reader,service",
});

interface Binding {
  readonly id: string;
  readonly instance: string;
  readonly provider: Provider;
}

async function bind(parts: ClientParts, { id, instance, provider }: Binding): Promise<boolean> {
  const set = (name: string, value: string) => ({ path: `/${name}`, op: "add", value });
  const body = {
    [id]: [
      set("hostname", provider.hostName),
      set("device_rp_uuid", provider.uuid),
      set("instance_uuid", instance),
    ],
  };
  return isDone(await parts.caller.once({ method: "PATCH", path, ...who(parts), body }));
}

/** Until it is bound or failed, or nobody waits any more. */
async function resolved(parts: ClientParts, id: string): Promise<void> {
  for (let look = 0; look < 30 && !parts.over.aborted; look += 1) {
    const claim = await readClaim(parts, id);
    if (claim?.state === "Bound" || claim?.state === "BindFailed") return;
    await pause(100);
  }
}

async function readClaim(parts: ClientParts, id: string): Promise<ClaimView | undefined> {
  const { caller, ledger, project } = parts;
  const reply = await caller.once({ method: "GET", path: `/v1/claims/${id}`, project });
  if (!isDone(reply)) return undefined;
  ledger.saw(reply.body as ClaimView, reply);
  return reply.body as ClaimView;
}

/** Sometimes by the request, sometimes by its instance, as Nova does. */
async function remove(parts: ClientParts, id: string, instance: string): Promise<void> {
  const held = parts.ledger.held.get(id);
  if (held === undefined) return;
  held.release = "asked";
  const query = parts.random.chance(0.5) ? `instance=${instance}` : `arqs=${id}`;
  const reply = await untilFinal(parts, { method: "DELETE", path: `${path}?${query}` });
  // By an instance that it was never bound to, nothing was deleted: calm ends it.
  if (query.startsWith("arqs")) finish(parts.ledger, held, reply);
}

async function untilFinal(parts: ClientParts, ask: Pick<Ask, "method" | "path">): Promise<Reply> {
  for (;;) {
    const reply = await parts.caller.once({ ...ask, ...who(parts) });
    if (isFinal(reply) || parts.over.aborted) return reply;
    await pause(100);
  }
}
