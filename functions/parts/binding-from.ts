import { providersOf } from "#domain/providers/providers";
import { providerId } from "#protocol/uuid";
import type { Environment } from "../entry.ts";
import type { Binding } from "./binding.ts";
import { Catalogue } from "./catalogue.ts";
import { openstackSettingsFrom } from "./openstack.ts";
import { storeFrom } from "./store.ts";

/** What binding accelerator requests needs in this installation. */
export function bindingFrom(environment: Environment): Binding {
  const store = storeFrom(environment);
  const { shape } = openstackSettingsFrom(environment);
  return {
    store,
    catalogue: new Catalogue(store),
    provider: (hostName, provider, deployables) =>
      providersOf(shape, hostName, deployables, []).find(
        ({ name }) => providerId(name) === provider,
      ),
    traits: (hostName, deployable) =>
      providersOf(shape, hostName, [deployable], []).flatMap(({ traits }) => traits),
  };
}
