import type { Reply } from "./errors.ts";
import { newestMinor } from "./microversion.ts";

const description =
  "Cyborg is the OpenStack project for lifecycle management of hardware accelerators, such as GPUs,FPGAs, AI chips, security accelerators, etc.";
const range = { max_version: `2.${newestMinor}`, min_version: "2.0" };

/** The document of versions at the service's root (cyborg.md §1.1). */
export function rootDocument(base: string): Reply {
  const version = {
    id: "v2",
    status: "CURRENT",
    ...range,
    links: [{ href: `${base}/v2`, rel: "self" }],
  };
  const name = "OpenStack Cyborg API";
  return {
    status: 200,
    body: { name, description, versions: [version], default_version: version },
  };
}

/** The document of version 2: clients without Keystone follow its self link (openstack.md §4). */
export function v2Document(base: string): Reply {
  const links = [{ href: `${base}/v2/`, rel: "self" }];
  return { status: 200, body: { id: "v2.0", links, ...range, status: "CURRENT" } };
}
