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

/** Bundles the agent for the Node that is packed with it, as CommonJS in one file. */
async function bundleAgent(root: string): Promise<Uint8Array> {
  const { outputFiles } = await build({
    absWorkingDir: root,
    entryPoints: [join(root, "agent/main.ts")],
    bundle: true,
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
  const outfile = join(root, ".build/agent/agent.cjs");
  await mkdir(dirname(outfile), { recursive: true });
  await writeFile(outfile, output.contents);
  return output.contents;
}

async function entriesOf({ root, arch }: AgentPackageOptions): Promise<TarEntry[]> {
  const packaging = join(root, "agent/packaging");
  const file = async (path: string, mode: number, from: string): Promise<TarEntry> => ({
    path,
    mode,
    bytes: await readFile(from),
  });
  return [
    { path: "lib/agent.cjs", mode: 0o644, bytes: await bundleAgent(root) },
    await file("lib/node", 0o755, join(root, `node_modules/node-linux-${arch}/bin/node`)),
    await file("bin/gatehouse-agent", 0o755, join(packaging, "gatehouse-agent")),
    await file("install", 0o755, join(packaging, "install")),
    await file("README.md", 0o644, join(packaging, "README.md")),
    await file(
      "systemd/gatehouse-agent.service",
      0o644,
      join(packaging, "gatehouse-agent.service"),
    ),
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
