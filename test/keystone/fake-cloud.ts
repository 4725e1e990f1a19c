import type { Account } from "#openstack/account";

/** A request the cloud got. */
export interface Asked {
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly signal?: AbortSignal | undefined;
  readonly redirect?: string | undefined;
}

/** What somebody's token says; the forms are those of Keystone 22. */
export interface Subject {
  readonly user?: string;
  /** Absent: a token without a scope. */
  readonly project?: string;
  readonly roles?: readonly string[];
  readonly expiresAt?: number;
  readonly isSystem?: boolean;
  readonly isDomain?: boolean;
}

/** A cloud in this process: hand `fetch` to what is tested. Time stands still unless it is moved. */
export interface FakeCloud {
  readonly fetch: typeof globalThis.fetch;
  readonly now: () => number;
  readonly pass: (ms: number) => void;
  readonly asked: Asked[];
  /** Tokens the account was given so far. */
  readonly authentications: () => number;
  /** Questions about tokens so far. */
  readonly validations: () => number;
  /** Tokens of others. */
  readonly subjects: Map<string, Subject>;
  /** Our own tokens from before end now. */
  readonly revokeOwn: () => void;
  /** Answers instead of the cloud; undefined lets the cloud answer. */
  interfere: (asked: Asked) => Promise<Response | undefined> | Response | undefined;
  /** Seconds that our own tokens live. */
  lifeSeconds: number;
  catalog: readonly object[];
}

export const authUrl = "http://keystone.test:5000/v3";
export const password = "pass-word-0815";
export const account: Account = {
  kind: "password",
  user: { name: "gatehouse", domain: { id: "default" } },
  password,
  project: { name: "service", domain: { id: "default" } },
};

const start = Date.parse("2026-11-21T10:00:00Z");
const at = (ms: number) => new Date(ms).toISOString().replace("Z", "000Z");

/** An entry of the catalog with one endpoint for each interface and region given. */
export function catalogEntry(
  type: string,
  ...endpoints: readonly { region: string; interface: string; url: string }[]
): object {
  const ids = endpoints.map((one, id) => ({ ...one, id: String(id), region_id: one.region }));
  return { type, name: `${type}-service`, id: type, endpoints: ids };
}

/** Three services in RegionOne, on hosts of their own. */
function usualCatalog(): readonly object[] {
  return ["placement", "image", "compute"].map((type) =>
    catalogEntry(type, { region: "RegionOne", interface: "public", url: `http://${type}.test` }),
  );
}

/** A cloud whose Keystone knows `account`; its other services answer who asked, in JSON. */
export function fakeCloud(): FakeCloud {
  let time = start;
  let given = 0;
  let validated = 0;
  let oldest = 1;
  const isOwn = (token = ""): boolean => {
    const [, number] = /^own-(\d+)$/.exec(token) ?? [];
    return number !== undefined && Number(number) >= oldest && Number(number) <= given;
  };
  const cloud: FakeCloud = {
    now: () => time,
    pass: (ms) => {
      time += ms;
    },
    asked: [],
    authentications: () => given,
    validations: () => validated,
    subjects: new Map(),
    revokeOwn: () => {
      oldest = given + 1;
    },
    interfere: () => undefined,
    lifeSeconds: 3600,
    catalog: usualCatalog(),
    fetch: async (input, init = {}) => {
      const asked = askedOf(input as string, init);
      cloud.asked.push(asked);
      const other = await abortable(cloud.interfere(asked), init.signal);
      return other ?? answer(asked);
    },
  };
  const answer = (asked: Asked): Response => {
    const url = new URL(asked.url);
    if (url.href === `${authUrl}/auth/tokens` && asked.method === "POST")
      return authenticate(asked);
    if (!isOwn(asked.headers["x-auth-token"])) return refusal(401);
    if (url.pathname === "/v3/auth/tokens") return validate(asked, url);
    return Response.json({ url: asked.url, token: asked.headers["x-auth-token"] });
  };
  const authenticate = (asked: Asked): Response => {
    if (!asked.body.includes(password)) return refusal(401);
    given += 1;
    const life = { issued_at: at(time), expires_at: at(time + cloud.lifeSeconds * 1000) };
    const token = { methods: ["password"], ...life, user: { id: "u0" }, catalog: cloud.catalog };
    const headers = { "x-subject-token": `own-${given}` };
    return Response.json({ token }, { status: 201, headers });
  };
  const validate = (asked: Asked, url: URL): Response => {
    validated += 1;
    const subject = cloud.subjects.get(asked.headers["x-subject-token"] ?? "");
    const expiresAt = subject?.expiresAt ?? start + 3_600_000;
    const isLate = expiresAt <= time && !url.searchParams.has("allow_expired");
    if (subject === undefined || isLate) return refusal(404);
    return Response.json({ token: tokenOf(subject, expiresAt) });
  };
  return cloud;
}

function tokenOf(subject: Subject, expiresAt: number): object {
  const { user = "alice", project, roles = [], isSystem, isDomain } = subject;
  return {
    methods: ["password"],
    user: { domain: { id: "default", name: "Default" }, id: user, name: user },
    audit_ids: ["x"],
    issued_at: at(start),
    expires_at: at(expiresAt),
    ...(project === undefined ? {} : { project: { id: project, name: project } }),
    ...(isSystem === true ? { system: { all: true } } : {}),
    ...(isDomain === true ? { domain: { id: "default", name: "Default" } } : {}),
    ...(roles.length === 0 ? {} : { roles: roles.map((name) => ({ id: `id-${name}`, name })) }),
  };
}

function askedOf(url: string, init: RequestInit): Asked {
  const body = typeof init.body === "string" ? init.body : "";
  const headers = Object.fromEntries(new Headers(init.headers));
  return {
    method: init.method ?? "GET",
    url,
    headers,
    body,
    signal: init.signal ?? undefined,
    redirect: init.redirect,
  };
}

function refusal(status: number): Response {
  const title = status === 401 ? "Unauthorized" : "Not Found";
  return Response.json({ error: { code: status, message: "no", title } }, { status });
}

/** As fetch does it: a request that is given up rejects. */
async function abortable<Value>(
  answer: Promise<Value> | Value,
  signal: AbortSignal | null | undefined,
): Promise<Value> {
  const gone = new Promise<never>((_, reject) => {
    signal?.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
  });
  return await Promise.race([answer, gone]);
}
