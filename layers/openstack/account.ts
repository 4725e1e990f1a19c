/** A user or project is found by its id, or by its name within a domain. */
export interface Named {
  readonly id?: string | undefined;
  readonly name?: string | undefined;
  readonly domain?: Domain | undefined;
}

/** A domain, by id or by name. */
export type Domain = { readonly id: string } | { readonly name: string };

/** Our own account in Keystone: a user's password within a project, or an application credential. */
export type Account =
  | {
      readonly kind: "password";
      readonly user: Named;
      readonly password: string;
      readonly project: Named;
    }
  | {
      readonly kind: "application_credential";
      readonly credential: { readonly id?: string | undefined; readonly name?: string | undefined };
      /** Whose credential it is; needed where it is given by name. */
      readonly user?: Named | undefined;
      readonly secret: string;
    };

/**
 * The body of `POST /v3/auth/tokens`. An application credential brings its own project, and Keystone
 * refuses a request that names one beside it.
 */
export function authRequest(account: Account): object {
  if (account.kind === "password") {
    const user = { ...account.user, password: account.password };
    const identity = { methods: ["password"], password: { user } };
    return { auth: { identity, scope: { project: account.project } } };
  }
  const { credential, user, secret } = account;
  const known = credential.id === undefined ? { ...credential, user } : { id: credential.id };
  return {
    auth: {
      identity: {
        methods: ["application_credential"],
        application_credential: { ...known, secret },
      },
    },
  };
}

/** What an account is called in messages; never with its secret. */
export function accountName(account: Account): string {
  const { id, name } = account.kind === "password" ? account.user : account.credential;
  const kind = account.kind === "password" ? "user" : "application credential";
  return `${kind} ${name ?? id ?? "?"}`;
}
