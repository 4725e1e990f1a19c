import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { type Issuer, startIssuer } from "../http/issuer.ts";
import { start } from "../http/rows.ts";

export const audience = "gatehouse";

/** Roles that a token can bring; the first brings none. */
export const roles = ["none", "reader", "member", "manager", "service", "admin"] as const;
export type RoleName = (typeof roles)[number];

/** Ways in which a token proves nothing. */
export const badTokens = [
  "missing",
  "malformed",
  "expired",
  "of a wrong signature",
  "for another audience",
  "of another issuer",
  "unsigned",
] as const;
export type BadToken = (typeof badTokens)[number];

/** Headers that say who calls. */
export type Credentials = Readonly<Record<string, string>>;

/** Tokens of one issuer, good and bad. */
export interface Callers {
  readonly issuer: Issuer;
  readonly good: (project: string, role: RoleName) => Promise<Credentials>;
  /** Of an admin of `project`, but for what is wrong with it. */
  readonly bad: (project: string, kind: BadToken) => Promise<Credentials>;
  readonly close: () => Promise<void>;
}

const bearer = (token: string): Credentials => ({ authorization: `Bearer ${token}` });
const encoded = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");

/** Starts an issuer; tokens are made once per project and kind. */
export async function startCallers(): Promise<Callers> {
  const issuer = await startIssuer(audience, start);
  const made = new Map<string, Promise<Credentials>>();
  const once = async (name: string, make: () => Promise<Credentials>): Promise<Credentials> => {
    const known = made.get(name) ?? make();
    made.set(name, known);
    return await known;
  };
  const stranger = await generateKeyPair("ES256", { extractable: true });
  const forged = async (claims: object, issuerUrl: string): Promise<string> =>
    await new SignJWT({ ...claims })
      .setProtectedHeader({
        alg: "ES256",
        kid: issuer.kid(),
        jwk: await exportJWK(stranger.publicKey),
      })
      .setIssuer(issuerUrl)
      .setAudience(audience)
      .setSubject("mallory")
      .setIssuedAt(start / 1000)
      .setExpirationTime(start / 1000 + 3600)
      .sign(stranger.privateKey);
  const broken = async (project: string, kind: BadToken): Promise<Credentials> => {
    const claims = { project_id: project, roles: ["admin"] };
    const good = await issuer.sign(claims);
    const [, payload = ""] = good.split(".");
    switch (kind) {
      case "missing":
        return {};
      case "malformed":
        return bearer(good.slice(0, -8).replaceAll(".", ""));
      case "expired":
        return bearer(await issuer.sign({ ...claims, exp: start / 1000 - 60 }));
      case "of a wrong signature":
        return bearer(await forged(claims, issuer.url));
      case "for another audience":
        return bearer(await issuer.sign({ ...claims, aud: "another" }));
      case "of another issuer":
        return bearer(await issuer.sign({ ...claims, iss: "https://issuer.example" }));
      case "unsigned":
        return bearer(`${encoded({ alg: "none" })}.${payload}.AA`);
      default:
        return kind satisfies never;
    }
  };
  return {
    issuer,
    good: async (project, role) =>
      await once(`${project} ${role}`, async () =>
        bearer(
          await issuer.sign({ project_id: project, roles: role === "none" ? ["other"] : [role] }),
        ),
      ),
    bad: async (project, kind) =>
      await once(`${project} ${kind}`, async () => await broken(project, kind)),
    close: issuer.close,
  };
}
