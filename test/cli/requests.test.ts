import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type FakeService, problem, startFakeService } from "./fake-service.ts";
import { ids } from "./samples.ts";
import { createShell, type ShellOptions } from "./shell.ts";

let service: FakeService;
beforeAll(async () => {
  service = await startFakeService();
});
beforeEach(() => service.reset());
afterAll(() => service.close());

const shell = (options: ShellOptions = {}) =>
  createShell({ ...options, env: { GATEHOUSE_URL: service.url, ...options.env } });
const create = ["claims", "create", "--type", "crypto"];

describe("a write", () => {
  test.each([
    ["503", () => problem("TRY_AGAIN", "busy")],
    ["429", () => ({ status: 429, text: "" })],
    ["a broken connection", () => ({ hangUp: true as const })],
  ])("is repeated after %s with the same key and body", async (_, failure) => {
    service.on("createClaims", (request, count) => (count < 3 ? failure() : sampleOf(request)));
    const used = shell();
    const { code } = await used.run(...create);
    expect(code).toBe(0);
    expect(service.received).toHaveLength(3);
    expect(service.received.map((one) => one.headers["idempotency-key"])).toEqual(
      Array(3).fill("key-1"),
    );
    expect(new Set(service.received.map((one) => one.bytes.toString())).size).toBe(1);
    expect(used.sleeps).toEqual([125, 250]);
    expect(service.violations).toEqual([]);
  });

  test("takes the key that is given", async () => {
    await shell().run(...create, "--idempotency-key", "mine");
    expect(service.received[0]?.headers["idempotency-key"]).toBe("mine");
  });

  test("waits as long as Retry-After says, in seconds or as a date", async () => {
    const dates = ["7", "Fri, 02 Jan 2026 03:04:22 GMT"];
    service.on("createClaims", (request, count) => {
      const after = dates[count - 1];
      return after === undefined
        ? sampleOf(request)
        : { ...problem("TRY_AGAIN", "busy"), headers: { "retry-after": after } };
    });
    const used = shell();
    expect((await used.run(...create)).code).toBe(0);
    // The clock stands at 03:04:05 and moves by the first sleep.
    expect(used.sleeps).toEqual([7125, 17_000 - 7125 + 250]);
  });

  test("is given up with the service's own words when Retry-After is past the time limit", async () => {
    service.on("createClaims", () => ({
      ...problem("TRY_AGAIN", "come back later"),
      headers: { "retry-after": "60" },
    }));
    const used = shell();
    const { code, err } = await used.run(...create, "--timeout", "30");
    expect(code).toBe(9);
    expect(err).toContain("error TRY_AGAIN: come back later");
    expect(used.sleeps).toEqual([]);
  });

  test("is given up after six tries", async () => {
    service.on("createClaims", () => problem("TABLE_UNAVAILABLE", "away"));
    expect((await shell().run(...create)).code).toBe(9);
    expect(service.received).toHaveLength(6);
  });

  test("is not repeated after any other answer", async () => {
    service.on("createClaims", () => problem("INTERNAL", "broken"));
    await shell().run(...create);
    expect(service.received).toHaveLength(1);
  });
});

describe("a service that does not answer", () => {
  test("ends with 9, the address and the cause", async () => {
    const refused = Object.assign(new Error("connect"), { code: "ECONNREFUSED" });
    const used = shell({
      fetch: () => Promise.reject(new TypeError("fetch failed", { cause: refused })),
    });
    const { code, err } = await used.run("claims", "list");
    expect(code).toBe(9);
    expect(err).toContain(`error TRY_AGAIN: No answer from ${service.url} (ECONNREFUSED)`);
    expect(err).toContain("hint: is the service running there?");
    expect(used.sleeps).toHaveLength(5);
  });

  test("is left after the time limit", async () => {
    const limits: number[] = [];
    const used = shell({
      deadline: (ms) => {
        limits.push(ms);
        return AbortSignal.abort(new DOMException("late", "TimeoutError"));
      },
    });
    const { code, err } = await used.run("claims", "list", "--timeout", "3s");
    expect(code).toBe(9);
    expect(err).toContain("(within 3 s)");
    expect(limits).toEqual([3000]);
    expect(service.received).toEqual([]);
  });
});

describe("an interrupt", () => {
  test("between tries of a write names the key with which it is safe to repeat", async () => {
    service.on("createClaims", () => ({ hangUp: true }));
    const { code, err } = await shell({ onSleep: (_, interrupt) => interrupt() }).run(...create);
    expect(code).toBe(130);
    expect(err).toContain("interrupted: it may have been carried out");
    expect(err).toContain("--idempotency-key key-1");
  });

  test("of a read just ends", async () => {
    service.on("getClaim", () => problem("TRY_AGAIN", "busy"));
    const used = shell({ onSleep: (_, interrupt) => interrupt() });
    const { code, err } = await used.run("claims", "show", ids.claim);
    expect(code).toBe(130);
    expect(err).toBe("interrupted\n");
  });
});

function sampleOf(request: { readonly operation: string }) {
  expect(request.operation).toBe("createClaims");
  return { json: { claims: [] } };
}
