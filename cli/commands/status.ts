import type { Command, Context } from "../command.ts";
import { Failure } from "../failure.ts";
import { renderFields } from "../fields.ts";
import { everyPage, type ListId, type Row } from "../listing.ts";

/** `status`: is the service there, who am I to it, what does it hold. */
export const statusCommands: readonly Command[] = [
  {
    words: ["status"],
    summary: "Show the service, hosts, deployables and claims in numbers",
    calls: ["describeService", "listResourceClasses", "listHosts", "listDeployables", "listClaims"],
    async run(context) {
      const { api, settings } = context;
      const service = await api.call("describeService");
      const classes = await api.call("listResourceClasses");
      const view = {
        url: settings.url,
        identity: identity(context),
        version: service.version,
        signaturePolicy: service.signaturePolicy,
        hosts: await countStates(context, "listHosts"),
        deployables: await countStates(context, "listDeployables"),
        claims: await countStates(context, "listClaims"),
        resourceClasses: classes.items,
      };
      return {
        json: view,
        ids: [service.version],
        human: (columns) => renderFields(view, columns),
      };
    },
  },
];

function identity({ settings }: Context): string {
  if ((settings.token ?? settings.osToken) !== undefined) return "by token";
  const { project = "the service's default", roles = "the service's default" } = settings;
  return `project ${project}, roles ${roles}`;
}

/** Entries by state; undefined when the caller may not see them. */
async function countStates<Id extends ListId>(
  context: Context,
  operation: Row<Id> extends { state: string } ? Id : never,
): Promise<Readonly<Record<string, number>> | undefined> {
  try {
    const { items } = await everyPage(context, operation);
    const counts: Record<string, number> = { total: items.length };
    for (const { state } of items as readonly { readonly state: string }[]) {
      counts[state] = (counts[state] ?? 0) + 1;
    }
    return counts;
  } catch (error) {
    if (error instanceof Failure && error.code === "FORBIDDEN") return undefined;
    throw error;
  }
}
