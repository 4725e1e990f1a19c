import type { Shape } from "#domain/providers/provider";
import { providersOf } from "#domain/providers/providers";
import { providerId } from "#protocol/uuid";
import type { Store } from "#store/store";
import type { Environment } from "../entry.ts";
import type { Binding } from "./binding.ts";
import { Catalogue } from "./catalogue.ts";
import { openstackSettingsFrom } from "./openstack.ts";
import { storeFrom } from "./store.ts";

/** What binding accelerator requests needs, over a store and the shape of what Placement shows. */
export function bindingOver(store: Store, shape: Shape): Binding {
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

/** What binding accelerator requests needs in this installation. */
export function bindingFrom(environment: Environment): Binding {
  return bindingOver(storeFrom(environment), openstackSettingsFrom(environment).shape);
}
