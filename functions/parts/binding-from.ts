import { poolProviders } from "#domain/inventory";
import { providerId } from "#protocol/uuid";
import type { Environment } from "../entry.ts";
import type { Binding } from "./binding.ts";
import { Catalogue } from "./catalogue.ts";
import { storeFrom } from "./store.ts";

/** What binding accelerator requests needs in this installation. */
export function bindingFrom(environment: Environment): Binding {
  const store = storeFrom(environment);
  return {
    store,
    catalogue: new Catalogue(store),
    members: (hostName, provider, deployables) =>
      deployables
        .filter((one) =>
          poolProviders(hostName, [one], []).some(({ name }) => providerId(name) === provider),
        )
        .map(({ id }) => id),
  };
}
