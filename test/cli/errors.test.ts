import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type FaultCode, faults } from "#domain/faults";
import { type FakeService, problem, startFakeService } from "./fake-service.ts";
import { explanation, ids } from "./samples.ts";
import { createShell, type ShellOptions } from "./shell.ts";

let service: FakeService;
beforeAll(async () => {
  service = await startFakeService();
});
beforeEach(() => service.reset());
afterAll(() => service.close());

const shell = (options: ShellOptions = {}) =>
  createShell({ ...options, env: { GATEHOUSE_URL: service.url, ...options.env } });

describe("a fault of the service", () => {
  test.each(Object.keys(faults) as FaultCode[])(
    "%s ends with the exit of its class",
    async (code) => {
      service.on("getClaim", () =>
        problem(code, "the detail", { field: "a.b", expected: "better" }),
      );
      const { code: exit, out, err } = await shell().run("claims", "show", ids.claim);
      expect(exit).toBe(faults[code].exit);
      expect(err.split("\n")[0]).toBe(`error ${code}: the detail (a.b: expected better)`);
      expect(out).toBe("");
    },
  );

  test("covers every exit class from 2 to 9", () => {
    const classes = new Set<number>(Object.values(faults).map(({ exit }) => exit));
    expect([...classes].toSorted((a, b) => a - b)).toEqual([2, 3, 4, 5, 6, 7, 8, 9]);
  });

  test("says the next step where there is one", async () => {
    service.on("getClaim", () => problem("UNKNOWN_CLAIM", "No such claim"));
    const { err } = await shell().run("claims", "show", ids.claim);
    expect(err).toBe("error UNKNOWN_CLAIM: No such claim\nhint: see gatehouse claims list\n");
  });

  test("lists the steps the service tells, and its own hint before ours", async () => {
    const steps = ["detach the claim", "program again"];
    service.on("programClaim", () => problem("IN_USE", "in a guest", { steps, hint: "do that" }));
    const { code, err } = await shell().run("program", ids.claim, "--image", ids.image);
    expect(code).toBe(5);
    expect(err).toBe(
      "error IN_USE: in a guest\n  1. detach the claim\n  2. program again\nhint: do that\n",
    );
  });

  test.each([["explanation"], [undefined]])(
    "NO_CAPACITY shows its explanation as a table (in %s)",
    async (member) => {
      const facts = member === undefined ? explanation : { [member]: explanation };
      service.on("createClaims", () => problem("NO_CAPACITY", "none is free", facts));
      const { code, err } = await shell().run("claims", "create", "--type", "crypto");
      expect(code).toBe(6);
      expect(err).toContain(explanation.summary);
      expect(err).toMatch(/^VERDICT +DEPLOYABLE +HOST +CLASS +STATE +FREE +REASONS$/m);
      expect(err).toMatch(/^busy .* it is claimed; it is scrubbed first$/m);
      expect(err).toContain("hint: gatehouse explain");
    },
  );

  test.each([
    [401, 3],
    [403, 3],
    [404, 4],
    [409, 5],
    [418, 2],
    [502, 9],
  ])("with a code of a later version and status %i ends with %i", async (status, exit) => {
    const json = { type: "t", title: "t", status, code: "QUITE_NEW", detail: "news" };
    service.on("getClaim", () => ({ status, json }));
    const { code, err } = await shell().run("claims", "show", ids.claim);
    expect(code).toBe(exit);
    expect(err).toContain("error QUITE_NEW: news");
  });
});

describe("an answer that is no problem document", () => {
  test.each([
    [401, "UNAUTHENTICATED"],
    [403, "FORBIDDEN"],
    [404, "UNKNOWN_ROUTE"],
    [413, "BODY_TOO_LARGE"],
    [418, "INVALID_REQUEST"],
    [500, "INTERNAL"],
    [502, "TRY_AGAIN"],
  ] as const)("with status %i counts as %s", async (status, code) => {
    service.on("getClaim", () => ({ status, text: "<html>" }));
    const ended = await shell().run("claims", "show", ids.claim);
    expect(ended.code).toBe(faults[code].exit);
    expect(ended.err).toContain(`error ${code}: HTTP ${status} from 127.0.0.1`);
  });

  test("but a redirect is not followed with the caller's identity", async () => {
    service.on("getClaim", () => ({
      status: 302,
      text: "",
      headers: { location: "http://else/" },
    }));
    const { code, err } = await shell().run("claims", "show", ids.claim);
    expect(code).toBe(2);
    expect(err).toContain("redirects to http://else/; give that address with --url");
    expect(service.received).toHaveLength(1);
  });
});

describe("the unexpected", () => {
  test("ends with 1 when an answer is not what its schema promises", async () => {
    service.on("getClaim", () => ({ status: 200, json: { id: 5 } }));
    const { code, out, err } = await shell().run("claims", "show", ids.claim);
    expect(code).toBe(1);
    expect(out).toBe("");
    expect(err).toMatch(/^error: the service's answer to getClaim is not understood \(id: /);
  });

  test("shows the stack only with GATEHOUSE_DEBUG", async () => {
    service.on("getClaim", () => ({ status: 200, text: "not json" }));
    expect((await shell().run("claims", "show", ids.claim)).err).not.toContain("    at ");
    const debug = shell({ env: { GATEHOUSE_DEBUG: "1" } });
    expect((await debug.run("claims", "show", ids.claim)).err).toContain("    at ");
  });

  test("text from outside cannot steer the terminal", async () => {
    service.on("getClaim", () => problem("NOT_FOUND", "a\u001b[2Jb\u202ec\nd"));
    const { err } = await shell().run("claims", "show", ids.claim);
    expect(err.trimEnd()).toBe("error NOT_FOUND: a\ufffd[2Jb\ufffdc\ufffdd");
  });
});
