import { Fault } from "#domain/faults";
import { uuid } from "#protocol/http/common";
import type { Context } from "../command.ts";

/** A host's id from its id or node name; the API knows hosts by id. Throws UNKNOWN_HOST. */
export async function hostId({ api }: Pick<Context, "api">, given: string): Promise<string> {
  if (uuid.safeParse(given).success) return given;
  const { items } = await api.call("listHosts", { query: { name: given } });
  const found = items.find((host) => host.name === given);
  if (found === undefined) throw new Fault("UNKNOWN_HOST", `No host is called ${given}`);
  return found.id;
}
