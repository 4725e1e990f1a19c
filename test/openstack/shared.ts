import { inject } from "vitest";
import { type Catalog, catalogOf } from "./services/catalog.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** Answers with the whole stack, which it starts when first asked. */
    readonly stackDoor: string;
  }
}

/** The stack of this run as a test file sees it. */
export interface SharedStack {
  readonly where: {
    readonly authUrl: string;
    readonly placementUrl: string;
    readonly glanceUrl: string;
    readonly novaUrl: string;
    /** Folder with a log for each of Nova's services. */
    readonly novaLogs: string;
    /** Name of the only compute node. */
    readonly computeName: string;
  };
  readonly catalog: Catalog;
}

/** Keystone, Placement, Glance and Nova of this run; the first caller waits half a minute. */
export async function sharedStack(): Promise<SharedStack> {
  const response = await fetch(inject("stackDoor"));
  const text = await response.text();
  if (!response.ok) throw new Error(`the stack did not start: ${text}`);
  const where = JSON.parse(text) as SharedStack["where"];
  return { where, catalog: catalogOf(where.authUrl) };
}
