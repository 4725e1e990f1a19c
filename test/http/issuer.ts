import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, SignJWT } from "jose";

/** A token issuer on loopback with a discovery document and keys that can be rotated. */
export interface Issuer {
  readonly url: string;
  /** Fetches of the discovery document and of the keys so far. */
  readonly fetched: () => { readonly discovery: number; readonly keys: number };
  /** Takes the keys away and publishes a new one under a new id. */
  readonly rotate: (alg?: string) => Promise<void>;
  /** The public key that is published now. */
  readonly jwk: () => JWK;
  readonly kid: () => string;
  /** A token of this issuer; `claims` win over the usual ones. */
  readonly sign: (claims?: object, header?: object) => Promise<string>;
  /** Answers everything with this status from now on; undefined = normally. */
  readonly fail: (status: number | undefined) => void;
  /** Changes the discovery document. */
  readonly describe: (document: object) => void;
  readonly close: () => Promise<void>;
}

/** Starts an issuer whose tokens are for `audience` and valid for an hour from `now` ms. */
export async function startIssuer(audience: string, now: number): Promise<Issuer> {
  const state = { discovery: 0, keys: 0, number: 0, status: undefined as number | undefined };
  let described: object = {};
  let key: { readonly alg: string; readonly private: CryptoKey; readonly jwk: JWK };
  let url = "";
  const server = createServer((request, response) => {
    const isKeys = request.url === "/keys";
    state[isKeys ? "keys" : "discovery"] += 1;
    const document = isKeys
      ? { keys: [key.jwk] }
      : { issuer: url, jwks_uri: `${url}/keys`, ...described };
    response.writeHead(state.status ?? 200, { "content-type": "application/json" });
    response.end(JSON.stringify(document));
  });
  const rotate = async (alg = "ES256"): Promise<void> => {
    const pair = await generateKeyPair(alg, { extractable: true });
    state.number += 1;
    const jwk = { ...(await exportJWK(pair.publicKey)), alg, use: "sig", kid: `k${state.number}` };
    key = { alg, private: pair.privateKey, jwk };
  };
  await rotate();
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    fetched: () => ({ discovery: state.discovery, keys: state.keys }),
    rotate,
    jwk: () => key.jwk,
    kid: () => `k${state.number}`,
    sign: async (claims = {}, header = {}) => {
      const seconds = Math.floor(now / 1000);
      const usual = { iss: url, aud: audience, sub: "alice", iat: seconds, exp: seconds + 3600 };
      const whole = { ...usual, project_id: "p1", roles: ["member"], ...claims };
      return await new SignJWT(JSON.parse(JSON.stringify(whole)) as Record<string, unknown>)
        .setProtectedHeader({ alg: key.alg, kid: `k${state.number}`, ...header })
        .sign(key.private);
    },
    fail: (status) => {
      state.status = status;
    },
    describe: (document) => {
      described = document;
    },
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
