import { execFileSync, spawnSync } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { agentVersion } from "../../agent/version.ts";
import { packAgent } from "../../tools/agent-package.ts";
import { tarOf } from "../../tools/tar.ts";

const root = join(import.meta.dirname, "../..");
const folder = mkdtempSync(join(tmpdir(), "gatehouse-package-"));
const inside = join(folder, `gatehouse-agent-${agentVersion}-linux-x64`);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("a tar archive", () => {
  test("is the same for the same files in any order", () => {
    const one = { path: "a", mode: 0o644, bytes: Buffer.from("one") };
    const two = { path: "b/c", mode: 0o755, bytes: Buffer.alloc(512, 7) };
    expect(tarOf([one, two])).toEqual(tarOf([two, one]));
  });

  test("is read by tar, byte for byte and with its modes", () => {
    const path = join(folder, "some.tar");
    const bytes = Buffer.from("x".repeat(1000));
    writeFileSync(
      path,
      tarOf([
        { path: "d/run", mode: 0o755, bytes },
        { path: "e", mode: 0o600, bytes: Buffer.alloc(0) },
      ]),
    );
    execFileSync("tar", ["-xf", path, "-C", folder]);
    expect(readFileSync(join(folder, "d/run"))).toEqual(bytes);
    expect(statSync(join(folder, "d/run")).mode & 0o777).toBe(0o755);
    expect(statSync(join(folder, "e")).size).toBe(0);
  });

  test("refuses a path that its header cannot hold", () => {
    const entry = { path: "x".repeat(101), mode: 0o644, bytes: Buffer.alloc(0) };
    expect(() => tarOf([entry])).toThrow(RangeError);
  });
});

describe.runIf(process.arch === "x64" && process.platform === "linux")(
  "the agent's package",
  () => {
    beforeAll(async () => {
      const { path } = await packAgent({ root, arch: "x64", level: 1 });
      writeFileSync(join(folder, "package.tar"), gunzipSync(readFileSync(path)));
      rmSync(path);
      execFileSync("tar", ["-xf", join(folder, "package.tar"), "-C", folder]);
    });

    const agent = (args: readonly string[], program = join(inside, "bin/gatehouse-agent")) =>
      spawnSync(program, args, { encoding: "utf8", env: {} });

    test("runs without any Node of the machine and says its version", () => {
      expect(agent(["--version"])).toMatchObject({ status: 0, stdout: `${agentVersion}\n` });
    });

    test("starts the privileged half by name", () => {
      const run = agent(["helper", "--help"]);
      expect(run).toMatchObject({ status: 0, stdout: expect.stringContaining("privileged half") });
    });

    test("says in a fresh state folder that the machine has not joined", () => {
      const run = agent(["status", "--state-dir", join(folder, "fresh")]);
      expect(run.status).toBe(0);
      expect(JSON.parse(run.stdout)).toMatchObject({ joined: false });
    });

    test("refuses to run before the join, with the code's exit status", () => {
      const run = agent(["run", "--state-dir", join(folder, "fresh")]);
      expect(run).toMatchObject({ status: 3, stderr: expect.stringContaining("UNAUTHENTICATED") });
    });

    test("holds the same files whenever it is made", async () => {
      const { path } = await packAgent({ root, arch: "x64", level: 1 });
      const again = gunzipSync(readFileSync(path));
      rmSync(path);
      expect(again.equals(readFileSync(join(folder, "package.tar")))).toBe(true);
    });

    test("installs below a folder, keeps the version before, and goes back to it", () => {
      const env = { DESTDIR: join(folder, "machine"), PATH: process.env["PATH"] ?? "" };
      const base = join(env.DESTDIR, "opt/gatehouse-agent");
      const install = (...args: string[]) =>
        execFileSync(join(inside, "install"), args, { env, encoding: "utf8" });
      expect(install()).toContain("is installed");
      expect(readlinkSync(join(base, "current"))).toBe(agentVersion);
      expect(agent(["--version"], join(base, "current/bin/gatehouse-agent")).status).toBe(0);
      const unit = join(env.DESTDIR, "etc/systemd/system/gatehouse-agent.service");
      expect(readFileSync(unit, "utf8")).toContain("Type=notify");
      const units = join(env.DESTDIR, "etc/systemd/system");
      expect(statSync(join(units, "gatehouse-helper.service")).isFile()).toBe(true);
      expect(statSync(join(units, "gatehouse-helper.socket")).isFile()).toBe(true);
      const users = join(env.DESTDIR, "etc/sysusers.d/gatehouse-agent.conf");
      expect(readFileSync(users, "utf8")).toContain("u gatehouse -");
      // As if this version had been installed over an older one.
      mkdirSync(join(base, "0.0.1"));
      execFileSync("ln", ["-sfn", "0.0.1", join(base, "current")]);
      install();
      expect(readlinkSync(join(base, "previous"))).toBe("0.0.1");
      install("--back");
      expect(readlinkSync(join(base, "current"))).toBe("0.0.1");
      expect(readlinkSync(join(base, "previous"))).toBe(agentVersion);
    });

    test("is not installed when a file of it was changed", () => {
      writeFileSync(join(inside, "README.md"), "changed");
      const env = { DESTDIR: join(folder, "other"), PATH: process.env["PATH"] ?? "" };
      const run = spawnSync(join(inside, "install"), { env, encoding: "utf8" });
      expect(run).toMatchObject({ status: 1, stderr: expect.stringContaining("damaged") });
    });
  },
);

/** The rules of a unit. */
const rulesOf = (name: string): readonly string[] =>
  readFileSync(join(root, "agent/packaging", name), "utf8")
    .split("\n")
    .filter((line) => !line.startsWith("#"));

test("the network process has a user of its own, and neither capability nor device", () => {
  const rules = rulesOf("gatehouse-agent.service");
  for (const rule of [
    "Type=notify",
    "WatchdogSec=60",
    "User=gatehouse",
    "CapabilityBoundingSet=",
    "AmbientCapabilities=",
    "NoNewPrivileges=yes",
    "ProtectSystem=strict",
    "ProtectKernelTunables=yes",
    "DevicePolicy=closed",
    "UMask=0077",
  ]) {
    expect(rules).toContain(rule);
  }
  for (const forbidden of ["DeviceAllow", "PrivateDevices", "MemoryDenyWriteExecute"]) {
    expect(rules.filter((rule) => rule.startsWith(forbidden))).toEqual([]);
  }
});

test("the helper has no network, the measured capabilities, and nothing that blinds it", () => {
  const rules = rulesOf("gatehouse-helper.service");
  for (const rule of [
    "User=root",
    "CapabilityBoundingSet=CAP_SYS_PTRACE CAP_DAC_READ_SEARCH",
    "NoNewPrivileges=yes",
    "PrivateNetwork=yes",
    "IPAddressDeny=any",
    "RestrictAddressFamilies=AF_UNIX",
    "ProtectSystem=strict",
    "DevicePolicy=closed",
    "DeviceAllow=char-dfl-fme rw",
    "UMask=0077",
  ]) {
    expect(rules).toContain(rule);
  }
  for (const forbidden of [
    "ProtectKernelTunables",
    "PrivateDevices",
    "MemoryDenyWriteExecute",
    "ProtectProc",
    "ProcSubset",
  ]) {
    expect(rules.filter((rule) => rule.startsWith(forbidden))).toEqual([]);
  }
});

test("only the agent's user may connect to the helper", () => {
  const rules = rulesOf("gatehouse-helper.socket");
  expect(rules).toContain("SocketUser=gatehouse");
  expect(rules).toContain("SocketMode=0600");
});
