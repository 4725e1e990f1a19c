import { createPrivateKey, createPublicKey } from "node:crypto";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { machineDigest } from "#protocol/agent-token";
import { joinRequest } from "#protocol/join";
import { uuidOf } from "#protocol/uuid";
import { kernelError } from "../../agent/host/memory-kernel/state.ts";
import { agentKey, readIdentity } from "../../agent/identity.ts";
import { type JoinOptions, joinCloud } from "../../agent/join.ts";

let stateDir: string;
beforeEach(async () => {
  stateDir = join(await mkdtemp(join(tmpdir(), "gatehouse-join-")), "state");
});
afterEach(() => rm(join(stateDir, ".."), { recursive: true, force: true }));

const host = uuidOf("host");
const answer = { host, socketUrl: "wss://cloud.test/agent", permitKey: "PEM", serverTime: 1 };
const files: Readonly<Record<string, string>> = {
  "/etc/machine-id": "machine\n",
  "/sys/class/dmi/id/product_uuid": "product\n",
};

interface Call {
  readonly url: string;
  readonly body: unknown;
}

function options(response: Response | Error, calls: Call[] = []): JoinOptions {
  return {
    url: "https://cloud.test/",
    token: "token-of-16-chars-or-more",
    stateDir,
    nodeName: "node-1",
    kernel: {
      read: async (path) => {
        const text = files[path];
        if (text === undefined) throw kernelError("ENOENT", path);
        return text;
      },
    },
    fetch: async (url, init) => {
      calls.push({ url: url as string, body: JSON.parse(init?.body as string) });
      if (response instanceof Error) throw response;
      return response;
    },
  };
}

test("a join sends key, machine and name, and keeps what it is answered with mode 0600", async () => {
  const calls: Call[] = [];
  const identity = await joinCloud(options(Response.json(answer), calls));
  expect(identity).toMatchObject({ host, nodeName: "node-1", httpUrl: "https://cloud.test" });
  expect(await readIdentity(stateDir)).toEqual(identity);
  expect(calls[0]?.url).toBe("https://cloud.test/agent/v1/join");
  const sent = joinRequest.parse(calls[0]?.body);
  expect(sent).toMatchObject({ nodeName: "node-1", machine: machineDigest("machine", "product") });
  const key = createPrivateKey(await readFile(join(stateDir, "agent.key"), "utf8"));
  expect(sent.publicKey).toBe(createPublicKey(key).export({ type: "spki", format: "pem" }));
  for (const name of ["agent.key", "agent.json"]) {
    expect((await stat(join(stateDir, name))).mode & 0o777).toBe(0o600);
  }
  expect((await stat(stateDir)).mode & 0o777).toBe(0o700);
  expect(await readFile(join(stateDir, "agent.json"), "utf8")).not.toContain("token-of");
});

test("origins of images that the cloud names are kept", async () => {
  const imageOrigins = ["https://bucket.test"];
  await joinCloud(options(Response.json({ ...answer, imageOrigins })));
  expect((await readIdentity(stateDir))?.imageOrigins).toEqual(imageOrigins);
});

test("a second join is refused without a call", async () => {
  await joinCloud(options(Response.json(answer)));
  const calls: Call[] = [];
  await expect(joinCloud(options(Response.json(answer), calls))).rejects.toMatchObject({
    code: "WRONG_STATE",
    message: expect.stringContaining(host),
  });
  expect(calls).toEqual([]);
});

test("a join that failed is repeated with the same key", async () => {
  const calls: Call[] = [];
  await expect(joinCloud(options(new TypeError("fetch failed"), calls))).rejects.toMatchObject({
    code: "TRY_AGAIN",
  });
  await joinCloud(options(Response.json(answer), calls));
  const keys = calls.map(({ body }) => joinRequest.parse(body).publicKey);
  expect(keys[0]).toBe(keys[1]);
});

test.each(["JOIN_TOKEN_INVALID", "JOIN_TOKEN_EXPIRED", "JOIN_TOKEN_USED"])(
  "the cloud's own %s is what the caller sees",
  async (code) => {
    const problem = Response.json({ code, detail: "said by the cloud" }, { status: 401 });
    await expect(joinCloud(options(problem))).rejects.toMatchObject({
      code,
      message: "said by the cloud",
    });
    expect(await readIdentity(stateDir)).toBeUndefined();
  },
);

test.each([
  ["a proxy's page", new Response("<html>", { status: 502 }), "TRY_AGAIN"],
  ["nonsense", new Response("hello"), "INTERNAL"],
  ["an unknown code", Response.json({ code: "NEW_ONE" }, { status: 400 }), "TRY_AGAIN"],
])("%s is a clear error", async (_, response, code) => {
  await expect(joinCloud(options(response))).rejects.toMatchObject({ code });
});

test.each(["http://cloud.test", "ftp://cloud.test", "cloud.test", ""])(
  "the token is not sent to %s",
  async (url) => {
    const calls: Call[] = [];
    const insecure = { ...options(Response.json(answer), calls), url };
    await expect(joinCloud(insecure)).rejects.toMatchObject({
      code: "INVALID_REQUEST",
      detail: { field: "url" },
    });
    expect(calls).toEqual([]);
  },
);

test("plain http is fine for this machine", async () => {
  await joinCloud({ ...options(Response.json(answer)), url: "http://127.0.0.1:4510" });
  expect((await readIdentity(stateDir))?.httpUrl).toBe("http://127.0.0.1:4510");
});

test("a damaged identity says what to do", async () => {
  await joinCloud(options(Response.json(answer)));
  await writeFile(join(stateDir, "agent.json"), "{");
  await expect(readIdentity(stateDir)).rejects.toMatchObject({
    code: "INVALID_REQUEST",
    message: expect.stringContaining("join again"),
  });
});

test("without a join there is no key", async () => {
  await expect(agentKey(stateDir, false)).rejects.toMatchObject({ code: "UNAUTHENTICATED" });
});
