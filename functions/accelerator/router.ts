import { randomUUID } from "node:crypto";
import type { APIGatewayProxyEventV2 } from "aws-lambda";
import type { Handler } from "../entry.ts";
import type { HttpResult } from "../http/problem.ts";
import type { Identity } from "../parts/identity.ts";
import { serviceVersion } from "../version.ts";
import { jsonOf, takesJson } from "./content.ts";
import { type Endpoint, endpointOf } from "./endpoint.ts";
import {
  expected,
  failureReply,
  noSuchPath,
  notAcceptable,
  type Reply,
  refusal,
  unauthenticated,
  wrongMethod,
} from "./errors.ts";
import { type Incoming, incomingOf } from "./incoming.ts";
import { askedVersion, versionHeaders } from "./microversion.ts";
import type { Accelerator } from "./parts.ts";
import { checkRule } from "./policy.ts";
import { checkArguments } from "./query.ts";
import { rootDocument, v2Document } from "./versions.ts";

/** Longest answer in characters: Lambda carries 6 MB (localstack/gateway/http-result.ts). */
const longestAnswer = 5_500_000;

/** Tells this service from Cyborg, whose documents it gives; its value is our version. */
export const serviceHeader = "x-gatehouse-version";

/** Serves Cyborg's API v2 with these endpoints. */
export function routedFunction(
  parts: Accelerator,
  endpoints: readonly Endpoint[],
): Handler<unknown, HttpResult> {
  return async (event) => {
    const requestId = `req-${randomUUID()}`;
    const request = incomingOf(event as APIGatewayProxyEventV2);
    const { reply, used } = await answered(parts, endpoints, { request, requestId });
    const versions = request.area === "v2" ? versionHeaders(used) : {};
    return resultOf(reply, {
      ...versions,
      "x-openstack-request-id": requestId,
      [serviceHeader]: serviceVersion,
    });
  };
}

interface Asked {
  readonly request: Incoming;
  readonly requestId: string;
}

interface Answered {
  readonly reply: Reply;
  /** Minor version the answer is in; absent when the request asked for one that is not there. */
  readonly used: number | undefined;
}

async function answered(
  parts: Accelerator,
  endpoints: readonly Endpoint[],
  asked: Asked,
): Promise<Answered> {
  const { request, requestId } = asked;
  const version = askedVersion(request.headers["openstack-api-version"]);
  const used = "minor" in version ? version.minor : undefined;
  if (request.method === "OPTIONS") return { reply: { status: 200 }, used };
  try {
    const open = openReply(request, version);
    return {
      reply: open ?? (await guarded(parts, endpoints, { ...asked, minor: used ?? 0 })),
      used,
    };
  } catch (error) {
    if (expected(error) === undefined) parts.log(error);
    return { reply: failureReply(error, requestId), used };
  }
}

/** What is answered whoever asks. */
function openReply(request: Incoming, version: ReturnType<typeof askedVersion>): Reply | undefined {
  const { area, method, base, segments, headers } = request;
  if (area === undefined) return noSuchPath();
  if (area === "v2" && "refused" in version) return notAcceptable(version.refused);
  if (!takesJson(headers["accept"])) return notAcceptable("", headers["accept"]);
  if (segments.length > 0) return undefined;
  if (method !== "GET") return wrongMethod(["GET"]);
  return area === "root" ? rootDocument(base) : v2Document(base);
}

async function guarded(
  parts: Accelerator,
  endpoints: readonly Endpoint[],
  { request, requestId, minor }: Asked & { readonly minor: number },
): Promise<Reply> {
  const { settings } = parts;
  const caller = await parts.identify(request.headers);
  if (caller === "unauthenticated") return unauthenticated(settings.challenge);
  const found = endpointOf(endpoints, request.segments);
  if (found === undefined) return noSuchPath();
  const { methods } = found.endpoint;
  const action = methods[request.method as keyof typeof methods];
  if (action === undefined) return wrongMethod(Object.keys(methods));
  checkRule(settings.policy, action.rule, identified(caller));
  checkArguments(request.query, action.takes ?? []);
  return await action.run({
    caller: identified(caller),
    minor,
    base: request.base,
    path: found.path,
    query: request.query,
    headers: request.headers,
    json: () => jsonOf(request.body),
    requestId,
  });
}

/** A token that gives no role on a project is no use here. */
function identified(caller: Identity | "forbidden"): Identity {
  if (caller !== "forbidden") return caller;
  throw refusal(403, "You are not authorized to perform the requested action");
}

function resultOf(reply: Reply, headers: Readonly<Record<string, string>>): HttpResult {
  const { status, body } = reply;
  const all = { ...headers, ...reply.headers };
  if (body === undefined) return { statusCode: status, headers: all, body: "" };
  const text = JSON.stringify(body);
  if (text.length > longestAnswer) {
    return resultOf(failureReply(tooLong(), ""), headers);
  }
  return {
    statusCode: status,
    headers: { ...all, "content-type": "application/json" },
    body: text,
  };
}

function tooLong(): unknown {
  return refusal(400, "The list is too long for one answer: use limit and marker");
}
