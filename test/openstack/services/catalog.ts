import { rest, restOk } from "./rest.ts";

/** A user with its roles in one project. */
export interface Account {
  readonly username: string;
  readonly password: string;
  readonly projectName: string;
}

/** Changes Keystone's catalog, users and projects as its admin; everything may be repeated. */
export interface Catalog {
  /** A token of the account for its project; of the admin when none is given. */
  readonly token: (account?: Account) => Promise<string>;
  /** Sets the URL of a service's endpoints (public, internal, admin). */
  readonly endpoint: (type: string, url: string) => Promise<void>;
  /** Makes a project; its id. */
  readonly project: (name: string) => Promise<string>;
  /** Makes a user with these roles in its project, which exists; the user's id. */
  readonly user: (account: Account, roles: readonly string[]) => Promise<string>;
  /** Makes a role; its id. */
  readonly role: (name: string) => Promise<string>;
}

/** Keystone's first account. */
export const admin: Account = {
  username: "admin",
  password: "secret",
  projectName: "admin",
};

interface Entity {
  readonly id: string;
  readonly [member: string]: unknown;
}

const interfaces = ["public", "internal", "admin"] as const;
const names: Readonly<Record<string, string>> = {
  identity: "keystone",
  placement: "placement",
  image: "glance",
  compute: "nova",
  network: "neutron",
  accelerator: "cyborg",
};

type Kind = "project" | "role" | "service" | "endpoint" | "user";
type Fields = Readonly<Record<string, string>>;

/** Keystone's HTTP API as its admin; the token is fetched once. */
function adminApi(authUrl: string) {
  let token: Promise<string> | undefined;
  const send = async <Body>(method: string, path: string, json?: unknown): Promise<Body> => {
    token ??= issueToken(authUrl, admin);
    return await restOk<Body>({ method, url: `${authUrl}${path}`, token: await token, json });
  };
  /** The id of the first entity with these fields; made when there is none. */
  const ensure = async (kind: Kind, fields: Fields, more: Fields = {}): Promise<string> => {
    const query = new URLSearchParams(fields).toString();
    const { [`${kind}s`]: found } = await send<Record<string, Entity[]>>(
      "GET",
      `/${kind}s?${query}`,
    );
    const [known] = found ?? [];
    if (known !== undefined) return known.id;
    const made = await send<Record<string, Entity>>("POST", `/${kind}s`, {
      [kind]: { ...fields, ...more },
    });
    return made[kind]?.id ?? "";
  };
  return { send, ensure };
}

/** The catalog of the Keystone at `authUrl` (…/v3). */
export function catalogOf(authUrl: string): Catalog {
  const { send, ensure } = adminApi(authUrl);
  const project = async (name: string) => await ensure("project", { name, domain_id: "default" });
  const role = async (name: string) => await ensure("role", { name });
  return {
    token: async (account = admin) => await issueToken(authUrl, account),
    project,
    role,
    async endpoint(type, url) {
      const service_id = await ensure("service", { type, name: names[type] ?? type });
      for (const name of interfaces) {
        const where = { service_id, region_id: "RegionOne", interface: name };
        const id = await ensure("endpoint", where, { url });
        await send("PATCH", `/endpoints/${id}`, { endpoint: { url } });
      }
    },
    async user({ username, password, projectName }, roles) {
      const home = await project(projectName);
      const id = await ensure("user", { name: username, domain_id: "default" }, { password });
      for (const name of roles) {
        await send("PUT", `/projects/${home}/users/${id}/roles/${await role(name)}`);
      }
      return id;
    },
  };
}

/** A token for the account's project; rejects with what Keystone said. */
async function issueToken(authUrl: string, account: Account): Promise<string> {
  const domain = { id: "default" };
  const { username, password, projectName } = account;
  const { status, headers, body } = await rest({
    method: "POST",
    url: `${authUrl}/auth/tokens`,
    json: {
      auth: {
        identity: {
          methods: ["password"],
          password: { user: { name: username, password, domain } },
        },
        scope: { project: { name: projectName, domain } },
      },
    },
  });
  const token = headers.get("x-subject-token");
  if (status !== 201 || token === null) {
    throw new Error(`no token for ${username}: ${status} ${JSON.stringify(body)}`);
  }
  return token;
}
