import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type FakeService, startFakeService } from "./fake-service.ts";
import { cardOperation, claim, ids, operation } from "./samples.ts";
import { createShell, type ShellOptions } from "./shell.ts";

let service: FakeService;
beforeAll(async () => {
  service = await startFakeService();
});
beforeEach(() => service.reset());
afterAll(() => service.close());

const shell = (options: ShellOptions = {}) =>
  createShell({ ...options, env: { GATEHOUSE_URL: service.url } });
const requests = (name: string) => service.received.filter((one) => one.operation === name);
const interruptAtFirst = { onSleep: (_: number, interrupt: () => void) => interrupt() };

describe("program --wait", () => {
  const line = ["program", ids.claim, "--image", ids.image, "--wait"];

  test("follows the operation to its end with its percent and phase", async () => {
    const steps = [
      { percent: 55, phase: "writing" },
      { percent: 90, phase: "reading back" },
      { percent: 100, phase: "done", state: "succeeded" },
    ];
    service.on("getOperation", (_, count) => ({ json: { ...operation, ...steps[count - 1] } }));
    const { code, out, err } = await shell().run(...line);
    expect(code).toBe(0);
    expect(requests("getOperation")[0]?.params).toEqual({ operation: ids.operation });
    expect(err.trim().split("\n")).toEqual([
      "program 40 % writing",
      "program 55 % writing",
      "program 90 % reading back",
      "program 100 % done",
    ]);
    expect(out).toMatch(/^state +succeeded$/m);
  });

  test("ends with the class of the operation's error", async () => {
    const error = { code: "READ_BACK_MISMATCH", message: "another image" };
    service.on("getOperation", () => ({ json: { ...operation, state: "failed", error } }));
    const { code, err } = await shell().run(...line);
    expect(code).toBe(8);
    expect(err).toContain("error READ_BACK_MISMATCH: another image");
  });

  test.each([
    ["superseded", 5, "error CONFLICT: The operation"],
    ["failed", 8, "error PROGRAM_FAILED: The operation"],
  ])("ends with a class of its own when it is %s without an error", async (state, exit, said) => {
    service.on("getOperation", () => ({ json: { ...operation, state } }));
    const { code, err } = await shell().run(...line);
    expect(code).toBe(exit);
    expect(err).toContain(said);
  });

  test("without --wait says where to look", async () => {
    const { code, err } = await shell().run(...line.slice(0, -1));
    expect(code).toBe(0);
    expect(err).toBe(`see gatehouse operations show ${ids.operation}\n`);
    expect(requests("getOperation")).toEqual([]);
  });

  test("interrupted leaves it to the service and says how to look again", async () => {
    service.on("getOperation", () => ({ json: operation }));
    const { code, err } = await shell(interruptAtFirst).run(...line);
    expect(code).toBe(130);
    expect(err).toContain("interrupted: it goes on without you; look again with: ");
    expect(err).toContain(`gatehouse operations show ${ids.operation}`);
    // Nothing but looking: an interrupt never cancels.
    expect(service.received.map((one) => one.operation)).toEqual(["programClaim", "getOperation"]);
  });

  test("ends with 9 after --wait-timeout, looking less and less often", async () => {
    service.on("getOperation", () => ({ json: operation }));
    const used = shell();
    const { code, err } = await used.run(...line, "--wait-timeout", "10s");
    expect(code).toBe(9);
    expect(err).toContain("error TRY_AGAIN: Not done after 10 s");
    expect(err).toContain(
      `hint: it goes on without you; look again with: gatehouse operations show`,
    );
    expect(used.sleeps.slice(0, 3)).toEqual([250, 375, 562.5]);
    expect(Math.max(...used.sleeps)).toBe(2000);
    expect(used.sleeps.reduce((sum, ms) => sum + ms, 0)).toBeGreaterThanOrEqual(10_000);
  });
});

describe("claims create --wait", () => {
  const line = ["claims", "create", "--type", "crypto", "--wait"];
  const second = "50000000-0000-4000-8000-000000000006";
  const started = { ...claim, state: "BindStarted" };

  test("waits for every claim", async () => {
    service.on("createClaims", () => ({ json: { claims: [started, { ...started, id: second }] } }));
    service.on("getClaim", ({ params }, count) => ({
      json: { ...claim, id: params["claim"], state: count < 3 ? "BindStarted" : "Bound" },
    }));
    const { code, out } = await shell().run(...line, "--json");
    expect(code).toBe(0);
    const answer = JSON.parse(out) as { claims: { id: string; state: string }[] };
    expect(answer.claims.map(({ id, state }) => [id, state])).toEqual([
      [ids.claim, "Bound"],
      [second, "Bound"],
    ]);
  });

  test.each([
    [
      { state: "BindFailed", reason: { code: "BIND_DEADLINE", message: "late" } },
      9,
      "BIND_DEADLINE: late",
    ],
    [
      { state: "BindFailed", reason: { code: "PROGRAM_FAILED", message: "no" } },
      8,
      "PROGRAM_FAILED: no",
    ],
    [{ state: "Deleting" }, 5, "WRONG_STATE: The claim is Deleting"],
    [{ state: "BindFailed", reason: { code: "QUITE_NEW", message: "?" } }, 1, "QUITE_NEW: ?"],
  ])("that ends as %j exits with %i", async (end, exit, said) => {
    service.on("getClaim", () => ({ json: { ...claim, ...end } }));
    const { code, err } = await shell().run(...line);
    expect(code).toBe(exit);
    expect(err).toContain(`error ${said}`);
    expect(err).toContain(`hint: see gatehouse claims show ${ids.claim}`);
  });

  test("interrupted names the claim", async () => {
    service.on("getClaim", () => ({ json: started }));
    const { code, err } = await shell(interruptAtFirst).run(...line);
    expect(code).toBe(130);
    expect(err).toContain(`look again with: gatehouse claims show ${ids.claim}`);
    expect(requests("releaseClaim")).toEqual([]);
  });
});

describe("attach", () => {
  const xml = "<hostdev mode='subsystem'>\n\t<source/>\n</hostdev>";
  const line = ["attach", ids.claim, "--hypervisor", "libvirt"];
  const attachment = { hypervisor: "libvirt", pciAddress: "0000:3b:00.0", xml };

  test("prints the XML alone once it is plugged", async () => {
    service.on("getClaim", (_, count) => ({
      json: count < 3 ? claim : { ...claim, plugged: true, attachment },
    }));
    const { code, out } = await shell().run(...line);
    expect(code).toBe(0);
    expect(out).toBe(`${xml}\n`);
    expect(requests("getClaim")).toHaveLength(3);
  });

  test.each([
    [{ hypervisor: "qemu", device: "gatehouse-ab", bus: "hp0" }, "device gatehouse-ab\nbus hp0\n"],
    [{ hypervisor: "qemu", device: "gatehouse-ab" }, "device gatehouse-ab\n"],
    [
      {
        hypervisor: "openstack",
        handleInfo: { domain: "0000", bus: "3b", device: "00", function: "1" },
      },
      '{"domain":"0000","bus":"3b","device":"00","function":"1"}\n',
    ],
  ])("prints QEMU's device and Nova's handle: %j", async (attachment, text) => {
    service.on("getClaim", () => ({ json: { ...claim, plugged: true, attachment } }));
    expect((await shell().run(...line)).out).toBe(text);
  });

  test("prints a CDI name, or the claim when there is neither", async () => {
    const cdi = { hypervisor: "cdi", cdi: "gatehouse/fpga=claim" };
    service.on("getClaim", () => ({ json: { ...claim, plugged: true, attachment: cdi } }));
    expect((await shell().run(...line)).out).toBe("gatehouse/fpga=claim\n");
    service.on("getClaim", () => ({ json: { ...claim, plugged: true } }));
    expect((await shell().run(...line)).out).toMatch(/^plugged +yes$/m);
  });

  test("prints the whole claim with --json", async () => {
    const plugged = { ...claim, plugged: true, attachment };
    service.on("getClaim", () => ({ json: plugged }));
    expect(JSON.parse((await shell().run(...line, "--json")).out)).toEqual(plugged);
  });

  test("ends with the plug's error", async () => {
    const plugError = { code: "GROUP_NOT_VIABLE", message: "its group is shared" };
    service.on("getClaim", () => ({ json: { ...claim, plugError } }));
    const { code, err } = await shell().run(...line);
    expect(code).toBe(8);
    expect(err).toContain("error GROUP_NOT_VIABLE: its group is shared");
  });

  test("ends when the claim ends", async () => {
    service.on("getClaim", () => ({ json: { ...claim, state: "Unbound" } }));
    const { code, err } = await shell().run(...line);
    expect(code).toBe(5);
    expect(err).toContain("error WRONG_STATE: The claim is Unbound");
  });

  test("detach --wait waits for the opposite", async () => {
    service.on("getClaim", (_, count) => ({ json: { ...claim, plugged: count < 3 } }));
    const { code, out } = await shell().run("claims", "detach", ids.claim, "--wait");
    expect(code).toBe(0);
    expect(out).toMatch(/^plugged +no$/m);
    expect(requests("getClaim")).toHaveLength(3);
  });
});

describe("devices layout", () => {
  const line = ["devices", "layout", ids.device, "vfs", "--vfs", "4"];

  test("follows the operation to its end", async () => {
    const states = ["pending", "running", "succeeded"];
    service.on("getDeviceOperation", (_, count) => ({
      json: { ...cardOperation, state: states[count - 1] },
    }));
    const { code, out, err } = await shell().run(...line);
    expect(code).toBe(0);
    expect(requests("getDeviceOperation")[0]?.params).toEqual({
      device: ids.device,
      operation: cardOperation.id,
    });
    expect(err.trim().split("\n")).toEqual([
      "layout 0 % pending",
      "layout 50 % running",
      "layout 100 % succeeded",
    ]);
    expect(out).toMatch(/^state +succeeded$/m);
  });

  test("ends with the class of the operation's error", async () => {
    const error = { code: "IN_USE", message: "vf1 is held by qemu (7)" };
    service.on("getDeviceOperation", () => ({
      json: { ...cardOperation, state: "failed", error },
    }));
    const { code, err } = await shell().run(...line);
    expect(code).toBe(5);
    expect(err).toContain("error IN_USE: vf1 is held by qemu (7)");
  });

  test("ends with a class of its own when it failed without a reason", async () => {
    service.on("getDeviceOperation", () => ({ json: { ...cardOperation, state: "failed" } }));
    expect((await shell().run(...line)).code).toBe(8);
  });

  test("with --no-wait says where to look, as does an interrupt", async () => {
    const again = `gatehouse devices operation ${ids.device} ${cardOperation.id}`;
    const { code, err } = await shell().run(...line, "--no-wait");
    expect(code).toBe(0);
    expect(err).toContain(again);
    expect(requests("getDeviceOperation")).toEqual([]);
    service.on("getDeviceOperation", () => ({ json: cardOperation }));
    const cut = await shell(interruptAtFirst).run(...line);
    expect(cut.code).toBe(130);
    expect(cut.err).toContain(again);
  });

  test("takes no layout that there is not", async () => {
    const { code, err } = await shell().run("devices", "layout", ids.device, "vf");
    expect(code).toBe(2);
    expect(err).toContain("vfs");
    expect(requests("operateDevice")).toEqual([]);
  });
});
