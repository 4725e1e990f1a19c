import * as claims from "./claims.ts";
import * as deployables from "./deployables.ts";
import type { Route } from "./route.ts";

/** Routes of claims, by operation id. */
export const claimRoutes = {
  createClaims: {
    method: "POST",
    path: "/v1/claims",
    summary: "Claim handles, program if asked",
    role: "member",
    status: 201,
    body: claims.createClaim,
    answer: claims.createdClaims,
  },
  listClaims: {
    method: "GET",
    path: "/v1/claims",
    summary: "Claims of the project, or of one instance",
    role: "reader",
    status: 200,
    query: claims.claimQuery,
    answer: claims.claimList,
  },
  getClaim: {
    method: "GET",
    path: "/v1/claims/{claim}",
    summary: "One claim",
    role: "reader",
    status: 200,
    answer: claims.claim,
  },
  releaseClaim: {
    method: "DELETE",
    path: "/v1/claims/{claim}",
    summary: "End a claim; its handle is cleaned before anyone else gets it",
    role: "member",
    status: 202,
    answer: claims.released,
  },
  attachClaim: {
    method: "POST",
    path: "/v1/claims/{claim}/attach",
    summary: "Plug the handle for a guest",
    role: "member",
    status: 202,
    body: claims.attachRequest,
    answer: claims.claim,
  },
  detachClaim: {
    method: "POST",
    path: "/v1/claims/{claim}/detach",
    summary: "Unplug the handle and keep the claim",
    role: "member",
    status: 202,
    answer: claims.claim,
  },
  renewClaim: {
    method: "POST",
    path: "/v1/claims/{claim}/renew",
    summary: "Renew the lease",
    role: "member",
    status: 200,
    body: claims.renewRequest,
    answer: claims.claim,
  },
  programClaim: {
    method: "POST",
    path: "/v1/claims/{claim}/program",
    summary: "Program the claimed deployable with another image",
    role: "member",
    status: 202,
    body: claims.claimProgramRequest,
    answer: deployables.operation,
  },
} as const satisfies Record<string, Route>;
