import { generateKeyPairSync } from "node:crypto";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { keyIdOf } from "#protocol/images/signing-key";
import { uuidOf } from "#protocol/uuid";
import { helpText, parseCommandLine, required } from "../../agent/command-line.ts";
import { readSettings } from "../../agent/config.ts";
import { openHardware } from "../../agent/hardware.ts";
import { readTrustedKeys, trustPolicy } from "../../agent/trusted-keys.ts";
import { feedWatchdog, systemdNotify, watchdogInterval } from "../../agent/watchdog.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "gatehouse-config-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function configFile(value: unknown): Promise<string> {
  const path = join(folder, "config.json");
  await writeFile(path, typeof value === "string" ? value : JSON.stringify(value));
  return path;
}

describe("settings", () => {
  test("are safe without any", async () => {
    expect(await readSettings({ GATEHOUSE_CONFIG: await configFile({}) }, {})).toMatchObject({
      stateDir: "/var/lib/gatehouse-agent",
      socket: "/run/gatehouse-agent/agent.sock",
      scanSeconds: 5,
      requireSignature: true,
      imageOrigins: [],
    });
  });

  test("come from file, environment and flags, the later ones winning", async () => {
    const config = await configFile({ url: "https://file", stateDir: "/file", scanSeconds: 9 });
    const env = { GATEHOUSE_URL: "https://env", GATEHOUSE_STATE_DIR: "/env" };
    expect(await readSettings(env, { config, "state-dir": "/flag" })).toMatchObject({
      url: "https://env",
      stateDir: "/flag",
      scanSeconds: 9,
    });
  });

  test("read numbers, words and lists from the environment", async () => {
    const env = {
      GATEHOUSE_CONFIG: await configFile({}),
      GATEHOUSE_SCAN_SECONDS: "30",
      GATEHOUSE_REQUIRE_SIGNATURE: "false",
      GATEHOUSE_IMAGE_ORIGINS: "https://a.test,https://b.test",
    };
    expect(await readSettings(env, {})).toMatchObject({
      scanSeconds: 30,
      requireSignature: false,
      imageOrigins: ["https://a.test", "https://b.test"],
    });
  });

  test.each([
    [{ GATEHOUSE_SCAN_SECONDS: "often" }, "scanSeconds"],
    [{ GATEHOUSE_SCAN_SECONDS: "0" }, "scanSeconds"],
    [{ GATEHOUSE_REQUIRE_SIGNATURE: "maybe" }, "requireSignature"],
    [{ GATEHOUSE_IMAGE_ORIGINS: "https://a.test/path" }, "imageOrigins.0"],
    [{ GATEHOUSE_URL: "cloud" }, "url"],
  ])("%o is refused by name", async (env, field) => {
    const config = await configFile({});
    await expect(readSettings(env, { config })).rejects.toMatchObject({
      code: "INVALID_REQUEST",
      detail: { field },
    });
  });

  test.each(["{", "[1", '"text"'])("a file with %s is refused", async (text) => {
    const config = await configFile(text);
    await expect(readSettings({}, { config })).rejects.toMatchObject({ code: "INVALID_REQUEST" });
  });

  test("a file that was asked for must be there", async () => {
    const config = join(folder, "missing.json");
    await expect(readSettings({}, { config })).rejects.toMatchObject({ code: "INVALID_REQUEST" });
  });
});

describe("the command line", () => {
  test("names a command and its flags", () => {
    expect(parseCommandLine(["join", "--url", "https://c", "--token", "t"])).toEqual({
      command: "join",
      flags: { url: "https://c", token: "t" },
    });
  });

  test.each([
    [["--version"], "version"],
    [["run", "--version"], "version"],
    [["--help"], "help"],
    [["join", "--help"], "help"],
    [[], "help"],
  ])("%j asks for %s", (args, command) => {
    expect(parseCommandLine(args)).toEqual({ command });
  });

  test.each([
    [["fly"]],
    [["status", "more"]],
    [["status", "--token", "t"]],
    [["status", "--unknown"]],
    [["join", "--url"]],
  ])("%j is refused", (args) => {
    expect(() => parseCommandLine(args)).toThrow(
      expect.objectContaining({ code: "INVALID_REQUEST" }),
    );
  });

  test("the help names every command", () => {
    for (const name of ["run", "join", "status", "plug", "unplug"]) {
      expect(helpText()).toContain(`  ${name}`);
    }
  });

  test("a flag that is needed is asked for by name", () => {
    expect(() => required({}, "token")).toThrow("--token is needed");
    expect(required({ token: "t" }, "token")).toBe("t");
  });
});

describe("trusted keys", () => {
  const { publicKey } = generateKeyPairSync("ed25519");
  const pem = publicKey.export({ type: "spki", format: "pem" }).toString();
  const policyOf = async () => trustPolicy(await readTrustedKeys(folder), true, () => new Date(0));

  test("a missing folder holds none, and signatures stay required", async () => {
    const keys = await readTrustedKeys(join(folder, "none"));
    expect(keys.size).toBe(0);
    expect(trustPolicy(keys, true, () => new Date(0)).signature).toBe("required");
    expect(trustPolicy(keys, false, () => new Date(0)).signature).toBe("optional");
  });

  test("every pem is one, other files are not", async () => {
    await writeFile(join(folder, "vendor.pem"), pem);
    await writeFile(join(folder, "README"), "not a key");
    expect((await policyOf()).keyOf(keyIdOf(publicKey))?.revoked).toBe(false);
  });

  test("a revoked one stays revoked whatever else holds it", async () => {
    await writeFile(join(folder, "a.revoked.pem"), pem);
    await writeFile(join(folder, "b.pem"), pem);
    expect((await policyOf()).keyOf(keyIdOf(publicKey))?.revoked).toBe(true);
  });

  test("a file that is no key stops the agent with its name", async () => {
    await writeFile(join(folder, "broken.pem"), "nonsense");
    await expect(readTrustedKeys(folder)).rejects.toMatchObject({
      code: "INVALID_REQUEST",
      message: expect.stringContaining("broken.pem"),
    });
  });
});

describe("hardware", () => {
  test("a simulated kernel is the same one for the next agent", async () => {
    await mkdir(join(folder, "state"));
    const settings = await readSettings(
      {},
      { config: await configFile({ stateDir: join(folder, "state"), simulated: { dfl: 1 } }) },
    );
    const boot = async () => {
      const { kernel, driver } = await openHardware(settings, uuidOf("host"), () => undefined);
      const address = (await driver.discover()).devices[0]?.deployables[0]?.handles[0]?.address;
      await kernel.write(`/sys/bus/pci/devices/${address}/driver_override`, "vfio-pci", 1000);
      return await kernel.read("/proc/sys/kernel/random/boot_id");
    };
    expect(await boot()).toBe(await boot());
  });

  test("a simulated kernel that cannot be read back is not replaced", async () => {
    const stateDir = join(folder, "damaged");
    await mkdir(stateDir);
    await writeFile(join(stateDir, "simulated-kernel.json"), "{");
    const settings = await readSettings(
      {},
      { config: await configFile({ stateDir, simulated: { dfl: 1 } }) },
    );
    await expect(openHardware(settings, uuidOf("host"), () => undefined)).rejects.toMatchObject({
      code: "INVALID_REQUEST",
    });
  });
});

describe("the watchdog", () => {
  test("is fed only while the agent's loops are alive", async () => {
    const told: string[] = [];
    const end = new AbortController();
    let rounds = 0;
    await feedWatchdog(
      async (state) => {
        told.push(state);
      },
      () => rounds < 2,
      {
        every: 10,
        sleep: async () => {
          rounds += 1;
          if (rounds === 5) end.abort();
        },
        signal: end.signal,
      },
    );
    expect(told).toEqual(["WATCHDOG=1", "WATCHDOG=1"]);
  });

  test("is fed three times within systemd's limit", () => {
    expect(watchdogInterval({ WATCHDOG_USEC: "60000000" })).toBe(20_000);
    expect(watchdogInterval({})).toBeUndefined();
    expect(watchdogInterval({ WATCHDOG_USEC: "x" })).toBeUndefined();
  });

  test("is silent where no systemd started the agent", async () => {
    const logs: string[] = [];
    await systemdNotify({}, (event) => logs.push(event))("READY=1");
    expect(logs).toEqual([]);
  });
});
