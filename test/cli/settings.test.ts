import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import manifest from "../../package.json" with { type: "json" };
import { type FakeService, startFakeService } from "./fake-service.ts";
import { createShell, type ShellOptions } from "./shell.ts";

let service: FakeService;
beforeAll(async () => {
  service = await startFakeService();
});
beforeEach(() => service.reset());
afterAll(() => service.close());

const path = "/home/me/.config/gatehouse/config.json";

/** Headers of the one request that `gatehouse claims list` sends. */
async function headersWith(
  options: ShellOptions,
  ...flags: string[]
): Promise<Record<string, unknown>> {
  const ended = await createShell(options).run("claims", "list", ...flags);
  expect(ended.code, ended.err).toBe(0);
  const headers: Record<string, unknown> = { ...service.received.at(-1)?.headers };
  return { ...headers, err: ended.err };
}

const configured = (settings: object, env: Record<string, string> = {}): ShellOptions => ({
  env: { HOME: "/home/me", ...env },
  files: { [path]: JSON.stringify({ url: service.url, ...settings }) },
});

describe("settings", () => {
  test("come from flags before environment before file", async () => {
    const env = { GATEHOUSE_PROJECT: "from-env", GATEHOUSE_ROLES: "member" };
    const file = { project: "from-file", roles: "admin" };
    expect((await headersWith(configured(file)))["x-project-id"]).toBe("from-file");
    expect((await headersWith(configured(file, env)))["x-project-id"]).toBe("from-env");
    const flagged = await headersWith(configured(file, env), "--project", "from-flag");
    expect(flagged["x-project-id"]).toBe("from-flag");
    expect(flagged["x-roles"]).toBe("member");
  });

  test("take the URL the same way", async () => {
    const wrong = { GATEHOUSE_URL: "http://127.0.0.1:1" };
    const options = configured({ url: "http://127.0.0.1:2" }, wrong);
    await headersWith(options, "--url", `${service.url}/`);
    await headersWith(configured({ url: "http://127.0.0.1:2" }, { GATEHOUSE_URL: service.url }));
    await headersWith(configured({}, { GATEHOUSE_URL: "" }));
    expect(service.received).toHaveLength(3);
  });

  test("default to the offline cloud's address", async () => {
    const asked: string[] = [];
    const used = createShell({
      fetch: (url) => {
        asked.push(url);
        return Promise.resolve(Response.json({ items: [] }));
      },
    });
    expect((await used.run("claims", "list")).code).toBe(0);
    expect(asked).toEqual(["http://127.0.0.1:4510/v1/claims"]);
  });

  test("keep a path of the URL, as gateways with stages have", async () => {
    const asked: string[] = [];
    const used = createShell({
      fetch: (url) => {
        asked.push(url);
        return Promise.resolve(Response.json({ items: [] }));
      },
    });
    await used.run("claims", "list", "--url", "https://api.example/dev/");
    expect(asked).toEqual(["https://api.example/dev/v1/claims"]);
  });

  test("are read below XDG_CONFIG_HOME or from --config", async () => {
    const text = (project: string) => JSON.stringify({ url: service.url, project });
    const files = { "/xdg/gatehouse/config.json": text("xdg"), "/else.json": text("else") };
    const options = { env: { HOME: "/home/me", XDG_CONFIG_HOME: "/xdg" }, files };
    expect((await headersWith(options))["x-project-id"]).toBe("xdg");
    const given = await headersWith(options, "--config", "/else.json");
    expect(given["x-project-id"]).toBe("else");
  });
});

describe("identity", () => {
  test("is a bearer token alone when there is one", async () => {
    const headers = await headersWith(configured({ token: "t0", project: "p", roles: "admin" }));
    expect(headers["authorization"]).toBe("Bearer t0");
    expect(headers["x-project-id"]).toBeUndefined();
    expect(headers["x-roles"]).toBeUndefined();
    expect(headers["user-agent"]).toBe(`gatehouse-cli/${manifest.version}`);
    expect(headers["err"]).toBe("");
  });

  test("is a token of Keystone in its own header, from flag, environment or file", async () => {
    const options = configured({ osToken: "k0", project: "p" });
    expect(await headersWith(options)).toMatchObject({ "x-auth-token": "k0" });
    const set = configured({ osToken: "k0" }, { GATEHOUSE_OS_TOKEN: "k1" });
    expect(await headersWith(set)).toMatchObject({ "x-auth-token": "k1" });
    const headers = await headersWith(set, "--os-token", "k2");
    expect(headers["x-auth-token"]).toBe("k2");
    expect(headers["authorization"]).toBeUndefined();
    expect((await headersWith(options))["x-project-id"]).toBeUndefined();
  });

  test("is nothing at all when nothing is set", async () => {
    const headers = await headersWith(configured({}));
    expect(headers["authorization"]).toBeUndefined();
    expect(headers["x-project-id"]).toBeUndefined();
  });

  test("is warned about when a token would travel unencrypted", async () => {
    const used = createShell({ fetch: () => Promise.resolve(Response.json({ items: [] })) });
    const warned = await used.run("claims", "list", "--token", "t", "--url", "http://far.example");
    expect(warned.err).toBe("warning: the token goes unencrypted to far.example\n");
    const other = await used.run(
      "claims",
      "list",
      "--os-token",
      "t",
      "--url",
      "http://far.example",
    );
    expect(other.err).toBe("warning: the token goes unencrypted to far.example\n");
    const safe = await used.run("claims", "list", "--token", "t", "--url", "https://far.example");
    expect(safe.err).toBe("");
  });
});

describe("wrong settings", () => {
  test.each([
    ["not json", "is not JSON"],
    ["[]", "is not a configuration (file: expected a JSON object)"],
    ['{"urll":"http://a"}', "urll is not a setting (urll: expected only url, token"],
    ['{"url":"ftp://a"}', "url is wrong (url: expected an http or https URL)"],
    ['{"url":"http://user:word@a"}', "url is wrong (url: expected an http or https URL)"],
    ['{"token":5}', "token is wrong (token: expected a token without blanks)"],
    ['{"roles":"a, b"}', "roles is wrong (roles: expected roles separated by commas"],
    ['{"timeout":0}', "timeout is wrong (timeout: expected seconds, more than 0)"],
  ])("in a file, %s, name the file and the member", async (text, said) => {
    const used = createShell({ env: { HOME: "/home/me" }, files: { [path]: text } });
    const { code, err } = await used.run("claims", "list");
    expect(code).toBe(2);
    expect(err).toContain(`error INVALID_REQUEST: ${path}`);
    expect(err).toContain(said);
  });

  test.each([
    [["--url", "nowhere"], {}, "--url is wrong (url: expected an http or https URL)"],
    [[], { GATEHOUSE_URL: "nowhere" }, "GATEHOUSE_URL is wrong (url: expected"],
    [[], { GATEHOUSE_TOKEN: "a\nb" }, "GATEHOUSE_TOKEN is wrong (token: expected"],
    [[], { GATEHOUSE_OS_TOKEN: "a b" }, "GATEHOUSE_OS_TOKEN is wrong (osToken: expected"],
    [["--timeout", "0"], {}, "--timeout is wrong (timeout: expected seconds"],
    [["--config", "/lost.json"], {}, "/lost.json: no such file"],
  ])("%j with %j name their source", async (flags, env, said) => {
    const { code, err } = await createShell({ env }).run("claims", "list", ...flags);
    expect(code).toBe(2);
    expect(err).toContain(said);
  });

  test("do not keep anyone from what needs no service", async () => {
    const used = createShell({ env: { HOME: "/home/me" }, files: { [path]: "broken" } });
    expect((await used.run("help")).code).toBe(0);
    expect((await used.run("completion", "bash")).code).toBe(0);
    expect((await used.run("images", "keygen", "--out", "k")).code).toBe(0);
  });
});
