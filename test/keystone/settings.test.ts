import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { openstackFrom, openstackSettingsFrom } from "../../functions/parts/openstack.ts";
import { offlineSettings } from "../../localstack/settings.ts";
import { authUrl, fakeCloud, password } from "./fake-cloud.ts";

const account = {
  OS_AUTH_URL: authUrl,
  OS_USERNAME: "gatehouse",
  OS_PASSWORD: password,
  OS_PROJECT_NAME: "service",
};

/** The body of the authentication that this environment leads to, and where it went. */
async function authentication(environment: Readonly<Record<string, string>>) {
  const cloud = fakeCloud();
  await openstackFrom(environment, cloud)?.endpoint("placement");
  const [asked] = cloud.asked;
  return { url: asked?.url, ...(JSON.parse(asked?.body ?? "{}") as { auth?: object }) };
}

const identity = (user: object) => ({
  methods: ["password"],
  password: { user: { name: "gatehouse", password, ...user } },
});

describe("the account", () => {
  test("is a user of the domain default in a project of it", async () => {
    const domain = { id: "default" };
    expect(await authentication(account)).toEqual({
      url: `${authUrl}/auth/tokens`,
      auth: { identity: identity({ domain }), scope: { project: { name: "service", domain } } },
    });
  });

  test.each([
    [{ OS_USER_DOMAIN_NAME: "Users" }, { domain: { name: "Users" } }],
    [{ OS_USER_DOMAIN_NAME: "Users", OS_USER_DOMAIN_ID: "u1" }, { domain: { id: "u1" } }],
    [{ OS_USER_DOMAIN_ID: "" }, { domain: { id: "default" } }],
  ])("with %j is the user of %j", async (more, user) => {
    expect((await authentication({ ...account, ...more })).auth).toMatchObject({
      identity: identity(user),
    });
  });

  test.each([
    [{ OS_PROJECT_ID: "p1" }, { id: "p1" }],
    [{ OS_PROJECT_DOMAIN_NAME: "D" }, { name: "service", domain: { name: "D" } }],
    [{ OS_PROJECT_DOMAIN_ID: "d1" }, { name: "service", domain: { id: "d1" } }],
  ])("with %j works in the project %j", async (more, project) => {
    expect((await authentication({ ...account, ...more })).auth).toMatchObject({
      scope: { project },
    });
  });

  test.each([
    [{ OS_APPLICATION_CREDENTIAL_ID: "c1" }, { id: "c1" }],
    [
      { OS_APPLICATION_CREDENTIAL_NAME: "c", OS_USERNAME: "u" },
      { name: "c", user: { name: "u", domain: { id: "default" } } },
    ],
  ])("may be the application credential %j", async (credential, expected) => {
    const environment = {
      OS_AUTH_URL: authUrl,
      OS_APPLICATION_CREDENTIAL_SECRET: "shh",
      ...credential,
    };
    const cloud = fakeCloud();
    await expect(openstackFrom(environment, cloud)?.endpoint("placement")).rejects.toThrow(/401/);
    expect(JSON.parse(cloud.asked[0]?.body ?? "")).toEqual({
      auth: {
        identity: {
          methods: ["application_credential"],
          application_credential: { ...expected, secret: "shh" },
        },
      },
    });
  });

  test.each(["http://k.test:5000", "http://k.test:5000/", "http://k.test:5000/v3/"])(
    "is known at %s",
    async (url) => {
      const cloud = fakeCloud();
      const session = openstackFrom({ ...account, OS_AUTH_URL: url }, cloud);
      expect(await session?.endpoint("identity")).toBe("http://k.test:5000/v3");
    },
  );

  test.each([
    [{ OS_USERNAME: "" }, "OS_USERNAME: needed with OS_AUTH_URL"],
    [{ OS_PASSWORD: "" }, "OS_PASSWORD: needed with OS_AUTH_URL"],
    [{ OS_PROJECT_NAME: "" }, "OS_PROJECT_NAME: needed with OS_AUTH_URL"],
    [
      { OS_APPLICATION_CREDENTIAL_ID: "c1" },
      "OS_APPLICATION_CREDENTIAL_SECRET: needed with OS_AUTH_URL",
    ],
    [
      {
        OS_APPLICATION_CREDENTIAL_NAME: "c1",
        OS_APPLICATION_CREDENTIAL_SECRET: "shh",
        OS_USERNAME: "",
      },
      "OS_USERNAME: needed with OS_AUTH_URL",
    ],
    [{ OS_AUTH_URL: "keystone:5000" }, "OS_AUTH_URL: expected an http or https URL without a user"],
    [
      { OS_AUTH_URL: "http://a:shh@k" },
      "OS_AUTH_URL: expected an http or https URL without a user",
    ],
    [{ OS_AUTH_URL: "http://k/v2.0/" }, "OS_AUTH_URL: expected version 3 of the API"],
    [{ PLACEMENT_ENDPOINT: "placement" }, "PLACEMENT_ENDPOINT: expected an http or https URL"],
    [{ GLANCE_ENDPOINT: "ftp://g" }, "GLANCE_ENDPOINT: expected an http or https URL"],
    [{ NOVA_ENDPOINT: "http://u@n" }, "NOVA_ENDPOINT: expected an http or https URL"],
    [{ OS_INTERFACE: "publicURL" }, "OS_INTERFACE: expected public or internal or admin"],
  ])("with %j is refused by the variable's name, without its value", (more, said) => {
    const open = () => openstackFrom({ ...account, ...more });
    expect(open).toThrow(said);
    expect(open).not.toThrow(/shh|pass-word/);
  });
});

describe("OpenStack", () => {
  test.each([{}, { OS_AUTH_URL: "", PLACEMENT_ENDPOINT: "" }, { OS_USERNAME: "x" }])(
    "is off with %j",
    (environment) => {
      expect(openstackFrom(environment)).toBeUndefined();
    },
  );

  test.each([
    ["PLACEMENT_ENDPOINT", "placement"],
    ["GLANCE_ENDPOINT", "image"],
    ["NOVA_ENDPOINT", "compute"],
  ] as const)("is on with %s alone, for %s", async (name, service) => {
    const session = openstackFrom({ [name]: "http://there.test/x/" });
    expect(await session?.endpoint(service)).toBe("http://there.test/x");
    expect(await session?.endpoint("accelerator")).toBeUndefined();
  });

  test("takes region and interface from the settings", async () => {
    const cloud = fakeCloud();
    const session = openstackFrom({ ...account, OS_REGION_NAME: "Two" }, cloud);
    expect(await session?.endpoint("placement")).toBeUndefined();
    const inside = openstackFrom({ ...account, OS_INTERFACE: "internal" }, cloud);
    expect(await inside?.endpoint("placement")).toBeUndefined();
    const usual = openstackFrom({ ...account, OS_REGION_NAME: "RegionOne" }, cloud);
    expect(await usual?.endpoint("placement")).toBe("http://placement.test");
  });
});

describe("how we live with it", () => {
  const usual = {
    shape: "pool",
    serviceTokens: "required",
    glance: "off",
    serviceRoles: ["service"],
    tokenCacheMs: 60_000,
  };

  test("has its defaults, also for empty variables", () => {
    expect(openstackSettingsFrom({})).toEqual(usual);
    const empty = {
      GATEHOUSE_PLACEMENT_SHAPE: "",
      GATEHOUSE_GLANCE: "",
      GATEHOUSE_TOKEN_CACHE_SECONDS: "",
    };
    expect(openstackSettingsFrom(empty)).toEqual(usual);
  });

  test("is set by name", () => {
    const environment = {
      GATEHOUSE_PLACEMENT_SHAPE: "cyborg",
      GATEHOUSE_SERVICE_TOKENS: "optional",
      GATEHOUSE_GLANCE: "write",
      GATEHOUSE_SERVICE_ROLES: "Service, compute,",
      GATEHOUSE_TOKEN_CACHE_SECONDS: "0",
    };
    expect(openstackSettingsFrom(environment)).toEqual({
      shape: "cyborg",
      serviceTokens: "optional",
      glance: "write",
      serviceRoles: ["service", "compute"],
      tokenCacheMs: 0,
    });
  });

  test.each([
    ["GATEHOUSE_PLACEMENT_SHAPE", "flat", "expected pool or tree or cyborg"],
    ["GATEHOUSE_SERVICE_TOKENS", "no", "expected required or optional"],
    ["GATEHOUSE_GLANCE", "on", "expected off or read or write"],
    ["GATEHOUSE_TOKEN_CACHE_SECONDS", "-1", "expected a whole number from 0 to 3600"],
    ["GATEHOUSE_TOKEN_CACHE_SECONDS", "1.5", "expected a whole number from 0 to 3600"],
    ["GATEHOUSE_TOKEN_CACHE_SECONDS", "3601", "expected a whole number from 0 to 3600"],
    ["GATEHOUSE_TOKEN_CACHE_SECONDS", "long", "expected a whole number from 0 to 3600"],
  ])("refuses %s=%s", (name, value, expected) => {
    expect(() => openstackSettingsFrom({ [name]: value })).toThrow(`${name}: ${expected}`);
  });
});

describe("the offline cloud", () => {
  test("hands everything of OpenStack on to the functions", () => {
    const environment = {
      ...account,
      GATEHOUSE_AUTH: "keystone",
      OS_REGION_NAME: "RegionOne",
      OS_APPLICATION_CREDENTIAL_SECRET: "shh",
      NOVA_ENDPOINT: "http://n",
      GATEHOUSE_GLANCE: "read",
      HOME: "/root",
    };
    const settings = offlineSettings(environment);
    const { GATEHOUSE_AUTH, HOME: _, ...functions } = environment;
    expect(settings).toMatchObject({ auth: GATEHOUSE_AUTH, functions });
    expect(settings.functions["HOME"]).toBeUndefined();
  });

  test("hands on whatever a deployment takes from the shell", () => {
    const text = readFileSync("serverless.yml", "utf8");
    const named = [...text.matchAll(/^ {4}(\w+): \$\{env:(\w+), /gm)];
    const names = named.filter(([, one, other]) => one === other).map(([, name = ""]) => name);
    expect(names).toContain("OS_APPLICATION_CREDENTIAL_NAME");
    const others = names.filter((name) => name !== "GATEHOUSE_AUTH");
    const environment = Object.fromEntries(others.map((name) => [name, "x"]));
    expect(offlineSettings(environment).functions).toEqual(environment);
  });

  test("refuses an unknown mode", () => {
    expect(() => offlineSettings({ GATEHOUSE_AUTH: "basic" })).toThrow(
      "GATEHOUSE_AUTH: expected none, oidc or keystone, not basic",
    );
  });
});
