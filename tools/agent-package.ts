import { createHash } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { agentVersion } from "../agent/version.ts";
import { type TarEntry, tarOf } from "./tar.ts";

/** What is packed, and how hard. */
export interface AgentPackageOptions {
  /** The repository. */
  readonly root: string;
  readonly arch: "x64" | "arm64";
  /** gzip level, 1 to 9. */
  readonly level: number;
}

/** The finished package. */
export interface AgentPackage {
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
}

/** The agent's programs by the names they start each other with. */
const programs = {
  agent: "agent/main.ts",
  helper: "agent/helper-main.ts",
  "kernel-child": "agent/kernel-child.ts",
} as const;

const units = [
  "gatehouse-agent.service",
  "gatehouse-helper.service",
  "gatehouse-helper.socket",
  "gatehouse-agent.sysusers",
] as const;

/** Bundles a program for the Node that is packed with it, as CommonJS in one file. */
async function bundle(root: string, name: keyof typeof programs): Promise<Uint8Array> {
  const { outputFiles } = await build({
    absWorkingDir: root,
    entryPoints: [join(root, programs[name])],
    bundle: true,
    external: ["koffi"],
    minify: true,
    platform: "node",
    target: "node24",
    format: "cjs",
    legalComments: "none",
    logLevel: "silent",
    write: false,
  });
  const [output] = outputFiles;
  if (output === undefined) throw new Error("nothing was built");
  const outfile = join(root, `.build/agent/${name}.cjs`);
  await mkdir(dirname(outfile), { recursive: true });
  await writeFile(outfile, output.contents);
  return output.contents;
}

/** Bundles the agent's programs into `.build/agent/`, where they run with the repository's modules. */
export async function bundleAgent(root: string): Promise<void> {
  await bundle(root, "agent");
  await bundle(root, "helper");
  await bundle(root, "kernel-child");
}

/** The parts of koffi that a running program loads; its native half cannot be bundled. */
function foreignCalls(arch: AgentPackageOptions["arch"]): readonly string[] {
  const koffi = [
    "package.json",
    "index.js",
    "src/koffi/index.js",
    "src/koffi/src/static.js",
    "LICENSE.txt",
  ];
  const native = ["package.json", "index.js", `linux_${arch}/koffi.node`];
  return [
    ...koffi.map((path) => `node_modules/koffi/${path}`),
    ...native.map((path) => `node_modules/@koromix/koffi-linux-${arch}/${path}`),
  ];
}

async function entriesOf({ root, arch }: AgentPackageOptions): Promise<TarEntry[]> {
  const packaging = join(root, "agent/packaging");
  const file = async (path: string, mode: number, from: string): Promise<TarEntry> => ({
    path,
    mode,
    bytes: await readFile(from),
  });
  return [
    { path: "lib/agent.cjs", mode: 0o644, bytes: await bundle(root, "agent") },
    { path: "lib/helper.cjs", mode: 0o644, bytes: await bundle(root, "helper") },
    { path: "lib/kernel-child.cjs", mode: 0o644, bytes: await bundle(root, "kernel-child") },
    ...(await Promise.all(
      foreignCalls(arch).map((path) => file(`lib/${path}`, 0o644, join(root, path))),
    )),
    await file("lib/node", 0o755, join(root, `node_modules/node-linux-${arch}/bin/node`)),
    await file("bin/gatehouse-agent", 0o755, join(packaging, "gatehouse-agent")),
    await file("bin/gatehouse-helper", 0o755, join(packaging, "gatehouse-helper")),
    await file("install", 0o755, join(packaging, "install")),
    await file("README.md", 0o644, join(packaging, "README.md")),
    ...(await Promise.all(
      units.map((unit) => file(`systemd/${unit}`, 0o644, join(packaging, unit))),
    )),
  ];
}

/** `sha256sum --check` reads it; `install` does so before it touches anything. */
function sums(entries: readonly TarEntry[]): TarEntry {
  const lines = entries
    .map(({ path, bytes }) => `${createHash("sha256").update(bytes).digest("hex")}  ${path}\n`)
    .sort();
  return { path: "SHA256SUMS", mode: 0o644, bytes: Buffer.from(lines.join("")) };
}

/**
 * Packs Node, the agent's bundle, unit and installer into `.build/agent/`. Equal sources make equal
 * bytes. Rejects when Node for `arch` is not installed (npm skips the other architecture).
 */
export async function packAgent(options: AgentPackageOptions): Promise<AgentPackage> {
  const entries = await entriesOf(options);
  const name = `gatehouse-agent-${agentVersion}-linux-${options.arch}`;
  const all = [...entries, sums(entries)];
  const tar = tarOf(all.map((entry) => ({ ...entry, path: `${name}/${entry.path}` })));
  const packed = gzipSync(tar, { level: options.level });
  const path = join(options.root, ".build/agent", `${name}.tar.gz`);
  await writeFile(path, packed);
  const sha256 = createHash("sha256").update(packed).digest("hex");
  return { path, bytes: packed.length, sha256 };
}

async function main(): Promise<void> {
  const arch = process.argv[2] ?? process.arch;
  if (arch !== "x64" && arch !== "arm64") throw new Error(`no Node is packed for ${arch}`);
  const root = dirname(import.meta.dirname);
  const { path, bytes, sha256 } = await packAgent({ root, arch, level: 9 });
  console.log(`${path}\n${(bytes / 2 ** 20).toFixed(1)} MB  sha256 ${sha256}`);
}

if (import.meta.main) await main();
