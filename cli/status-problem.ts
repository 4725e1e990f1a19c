import { type FaultCode, faults } from "#domain/faults";
import type { Problem } from "#protocol/http/common";

const codes: ReadonlyMap<number, FaultCode> = new Map([
  [401, "UNAUTHENTICATED"],
  [403, "FORBIDDEN"],
  [404, "UNKNOWN_ROUTE"],
  [409, "CONFLICT"],
  [413, "BODY_TOO_LARGE"],
  [429, "TRY_AGAIN"],
  [502, "TRY_AGAIN"],
  [503, "TRY_AGAIN"],
  [504, "TRY_AGAIN"],
]);

/** A problem document for an answer without one: a gateway, a proxy or a bucket spoke, not the API. */
export function statusProblem(response: Response): Problem {
  const { status, url } = response;
  const code = codes.get(status) ?? (status >= 500 ? "INTERNAL" : "INVALID_REQUEST");
  const location = response.headers.get("location");
  const where = url === "" ? "" : ` from ${new URL(url).host}`;
  const detail =
    location === null
      ? `HTTP ${status}${where} without a problem document`
      : `HTTP ${status}${where} redirects to ${location}; give that address with --url`;
  return { type: "about:blank", title: faults[code].title, status, code, detail };
}
