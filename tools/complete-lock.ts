import { readFileSync, writeFileSync } from "node:fs";

/**
 * Adds to package-lock.json the optional platform packages that the registry in use does not serve.
 * npm leaves those out when it writes the lock, and `npm ci` then refuses it. An entry needs no
 * address: npm skips it on every platform but its own.
 */
interface Entry {
  readonly version?: string;
  readonly dev?: boolean;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

interface Lock {
  readonly packages: Record<string, Entry & Readonly<Record<string, unknown>>>;
}

const systems = ["android", "darwin", "freebsd", "linux", "openharmony", "win32"];
const processors = ["arm64", "arm", "ia32", "ppc64", "riscv64", "s390x", "x64"];

/** What a package is for, by the words of its name: `@oxlint/binding-linux-arm-musleabihf`. */
function platformOf(name: string): Readonly<Record<string, readonly string[]>> | undefined {
  const words = name.slice(name.lastIndexOf("/") + 1).split("-");
  const os = systems.find((one) => words.includes(one));
  const cpu = processors.find((one) => words.includes(one));
  if (os === undefined || cpu === undefined) return undefined;
  if (os !== "linux") return { os: [os], cpu: [cpu] };
  const libc = words.some((word) => word.startsWith("musl")) ? "musl" : "glibc";
  return { os: [os], cpu: [cpu], libc: [libc] };
}

/** The lock with an entry for every optional package it names; sorted as npm sorts. */
export function completeLock(lock: Lock): Lock {
  const packages = { ...lock.packages };
  for (const entry of Object.values(lock.packages)) {
    for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
      const platform = platformOf(name);
      const key = `node_modules/${name}`;
      if (key in packages || platform === undefined || !/^\d/.test(version)) continue;
      const dev = entry.dev === true ? { dev: true } : {};
      packages[key] = { version, ...platform, ...dev, optional: true };
    }
  }
  const sorted = Object.entries(packages).toSorted(([a], [b]) => a.localeCompare(b, "en"));
  return { ...lock, packages: Object.fromEntries(sorted) };
}

if (import.meta.main) {
  const file = "package-lock.json";
  const lock = JSON.parse(readFileSync(file, "utf8")) as Lock;
  writeFileSync(file, `${JSON.stringify(completeLock(lock), null, 2)}\n`);
}
