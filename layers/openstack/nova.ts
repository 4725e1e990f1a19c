import * as z from "zod/mini";
import type { OpenStack, OpenStackReply } from "#openstack/cloud";

/** How the bind of one accelerator request ended, as Nova is told (cyborg.md §2). */
export interface BindEvent {
  readonly claim: string;
  readonly instance: string;
  readonly status: "completed" | "failed";
}

/**
 * What Nova made of an event. `early`: the instance is on no host yet, which is fine, because its
 * compute service reads the request before it waits. `gone`: there is no such instance. `again`: not
 * accepted now, with the reason.
 */
export type EventAnswer =
  | { readonly kind: "accepted" | "early" | "gone" }
  | { readonly kind: "again"; readonly why: string };

/** The first microversion with the event `accelerator-request-bound`. */
const eventVersion = "2.82";

const eventsBody = z.object({ events: z.array(z.object({ code: z.optional(z.number()) })) });

/** Tells Nova of one bind. OPENSTACK_UNAVAILABLE when Nova cannot be reached. */
export async function sendBindEvent(openstack: OpenStack, event: BindEvent): Promise<EventAnswer> {
  const { claim, instance, status } = event;
  const reply = await openstack.send({
    service: "compute",
    method: "POST",
    path: "/os-server-external-events",
    headers: novaVersion(eventVersion),
    json: {
      events: [{ name: "accelerator-request-bound", server_uuid: instance, tag: claim, status }],
    },
  });
  if (reply.status === 404) return { kind: "gone" };
  if (reply.status !== 200 && reply.status !== 207) {
    return { kind: "again", why: `Nova answered ${reply.status}` };
  }
  return answerOf(codeOf(reply));
}

const answers = new Map<number, EventAnswer>([
  [200, { kind: "accepted" }],
  [422, { kind: "early" }],
  [404, { kind: "gone" }],
]);

/**
 * Whether Nova takes events from our account at all, found out with a list that is empty, so that
 * nothing happens: "yes", or the status it refused with. OPENSTACK_UNAVAILABLE.
 */
export async function mayTell(openstack: OpenStack): Promise<"yes" | number> {
  const reply = await openstack.send({
    service: "compute",
    method: "POST",
    path: "/os-server-external-events",
    headers: novaVersion(eventVersion),
    json: { events: [] },
  });
  // What is wrong with the list is only said to those who may send one.
  return reply.status === 400 || reply.status < 300 ? "yes" : reply.status;
}

function answerOf(code: number | undefined): EventAnswer {
  const why = `Nova gave the event code ${code ?? "none"}`;
  return answers.get(code ?? 0) ?? { kind: "again", why };
}

/** The code of the one event; an accepted one may come without any. */
function codeOf(reply: OpenStackReply): number | undefined {
  const parsed = eventsBody.safeParse(jsonOf(reply));
  const code = parsed.success ? parsed.data.events[0]?.code : undefined;
  return code ?? (reply.status === 200 ? 200 : undefined);
}

function jsonOf({ text }: OpenStackReply): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function novaVersion(version: string): Readonly<Record<string, string>> {
  return {
    "OpenStack-API-Version": `compute ${version}`,
    "X-OpenStack-Nova-API-Version": version,
  };
}

/** From this microversion on a server of a cell that is down is shown as UNKNOWN, not as absent. */
const downCellsVersion = "2.69";

const serversBody = z.object({ servers: z.array(z.object({ id: z.string() })) });

/** Servers of one page of the list; Nova itself allows at most 1000. */
const pageSize = 500;

/**
 * Ids of all servers of all projects. A page that cannot be read makes the whole list unknown
 * (undefined), so that nobody takes a server for deleted because of it. OPENSTACK_UNAVAILABLE.
 */
export async function allServers(openstack: OpenStack): Promise<ReadonlySet<string> | undefined> {
  const ids = new Set<string>();
  let marker: string | undefined;
  for (;;) {
    const reply = await openstack.send({
      service: "compute",
      method: "GET",
      path: "/servers",
      headers: novaVersion(downCellsVersion),
      query: { all_tenants: "True", limit: String(pageSize), marker },
    });
    const parsed = serversBody.safeParse(jsonOf(reply));
    if (reply.status !== 200 || !parsed.success) return undefined;
    const page = parsed.data.servers.map(({ id }) => id);
    for (const id of page) ids.add(id);
    marker = page.at(-1);
    if (page.length < pageSize || marker === undefined) return ids;
  }
}

/** True only when Nova says itself that there is no such server. OPENSTACK_UNAVAILABLE. */
export async function isServerGone(openstack: OpenStack, id: string): Promise<boolean> {
  const reply = await openstack.send({
    service: "compute",
    method: "GET",
    path: `/servers/${encodeURIComponent(id)}`,
    headers: novaVersion(downCellsVersion),
  });
  return reply.status === 404;
}
