import { problem } from "#protocol/http/common";
import { type OperationId, routes } from "#protocol/http/routes";
import { agentsFunction } from "../../functions/http/agents.ts";
import { authorizerFunction } from "../../functions/http/authorizer.ts";
import type { CallerContext } from "../../functions/http/call.ts";
import { catalogFunction } from "../../functions/http/catalog.ts";
import { claimsFunction } from "../../functions/http/claims.ts";
import { deployablesFunction } from "../../functions/http/deployables.ts";
import { devicesFunction } from "../../functions/http/devices.ts";
import { eventsFunction } from "../../functions/http/events.ts";
import { hostsFunction } from "../../functions/http/hosts.ts";
import { imagesFunction } from "../../functions/http/images.ts";
import { keysFunction } from "../../functions/http/keys.ts";
import { openstackFunction } from "../../functions/http/openstack.ts";
import { operationsFunction } from "../../functions/http/operations.ts";
import { profilesFunction } from "../../functions/http/profiles.ts";
import { quotasFunction } from "../../functions/http/quotas.ts";
import { serviceFunction } from "../../functions/http/service.ts";
import { Catalogue } from "../../functions/parts/catalogue.ts";
import { type Identify, identifierFor } from "../../functions/parts/identity.ts";
import { type HttpFunction, httpEvent, type Request } from "../http/event.ts";
import { start, withoutCloud } from "../http/rows.ts";
import { audience, type Callers, type Credentials } from "./callers.ts";
import type { World } from "./world.ts";

/** What came back: `code` of a problem document. */
export interface Answered {
  readonly status: number;
  readonly code: string | undefined;
  readonly text: string;
}

/** Asks one route with a request's own headers, through the authorizer where the route has one. */
export type Ask = (
  operation: OperationId,
  request: Omit<Request, "project" | "roles">,
) => Promise<Answered>;

/** Who calls, by the tokens of these callers' issuer. */
export function identifyBy(callers: Callers): Identify {
  return identifierFor({
    settings: { auth: "oidc", oidc: { issuer: callers.issuer.url, audience } },
    openstackSettings: { serviceRoles: ["service"], tokenCacheMs: 0 },
    fetch: globalThis.fetch,
    now: () => start,
    cooldownMs: 30_000,
    log: () => undefined,
  });
}

/** The functions by the first word after `/v1/`, as they are deployed, over a world. */
function functionsOf({ store, bucket }: World): ReadonlyMap<string, HttpFunction> {
  const catalogue = new Catalogue(store);
  const resolving = { store, catalogue, hosts: new Map() };
  const settings = { bindDeadlineMs: 180_000, defaultQuota: 8 };
  const catalog = catalogFunction({ store });
  const service = serviceFunction({ store, settings: { signaturePolicy: "optional" } });
  return new Map<string, HttpFunction>([
    ["", service],
    ["openapi.json", service],
    ["metrics", service],
    ["traits", catalog],
    ["resource-classes", catalog],
    ["claims", claimsFunction({ ...resolving, settings, large: new Map(), demand: new Map() })],
    ["deployables", deployablesFunction(resolving)],
    ["devices", devicesFunction({ store })],
    ["events", eventsFunction({ store })],
    ["hosts", hostsFunction({ store, push: { close: async () => undefined } })],
    [
      "images",
      imagesFunction({
        store,
        bucket,
        settings: { signaturePolicy: "required", maxImageBytes: 1_000_000 },
      }),
    ],
    ["keys", keysFunction({ store })],
    ["openstack", openstackFunction(withoutCloud(store))],
    ["operations", operationsFunction({ store })],
    ["profiles", profilesFunction({ store })],
    ["quotas", quotasFunction({ store })],
    ["join", agentsFunction({ store, bucket, settings: { socketUrl: "wss://socket.example" } })],
    [
      "exchange",
      agentsFunction({ store, bucket, settings: { socketUrl: "wss://socket.example" } }),
    ],
  ]);
}

/** The native API over a world, as it stands behind API Gateway. */
export function nativeDoor(world: World, identify: Identify): Ask {
  const served = functionsOf(world);
  const authorize = authorizerFunction(identify);
  return async (operation, request) => {
    const { path, role } = routes[operation];
    const run = served.get(path.split("/")[path.startsWith("/agent") ? 3 : 2] ?? "");
    if (run === undefined) throw new Error(`nothing serves ${operation}`);
    const event = httpEvent(operation, request);
    const headers = event.headers;
    let context: CallerContext = {};
    if (role !== "public" && role !== "agent") {
      const verdict = await verdictOf(authorize, headers);
      if (typeof verdict === "number") return { status: verdict, code: undefined, text: "" };
      context = verdict;
    }
    const { requestContext } = event;
    const authorizer = { ...requestContext.authorizer, lambda: context };
    const whole = { ...event, requestContext: { ...requestContext, authorizer } };
    const { statusCode, body } = await run(whole, {} as never);
    return { status: statusCode, code: codeOf(statusCode, body), text: body };
  };
}

async function verdictOf(
  authorize: ReturnType<typeof authorizerFunction>,
  headers: Credentials | Readonly<Record<string, string | undefined>>,
): Promise<number | CallerContext> {
  try {
    const verdict = await authorize({ headers }, {} as never);
    return verdict.isAuthorized ? verdict.context : 403;
  } catch (error) {
    if (error instanceof Error && error.message === "Unauthorized") return 401;
    throw error;
  }
}

function codeOf(status: number, body: string): string | undefined {
  return status < 400 ? undefined : problem.parse(JSON.parse(body)).code;
}
