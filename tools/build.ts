import { existsSync } from "node:fs";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { build, type Metafile } from "esbuild";
import { ZipFile } from "yazl";
import { readService } from "../localstack/gateway/service.ts";

/** One bundle to make. `zip` packs it for Lambda as `index.js`. */
interface Target {
  readonly name: string;
  readonly entry: string;
  readonly outfile: string;
  readonly zip?: string;
}

/** Sizes of one bundle, bytes after minifying. */
export interface Bundle {
  readonly name: string;
  readonly own: number;
  readonly sdk: number;
  readonly zip?: number;
}

/** Most a function may carry of its own and of small libraries, bytes (design.md §12). */
const largestOwn = 300 * 1024;

function functionTarget(root: string, handler: string): Target {
  const source = handler.replace(/\.handler$/, "");
  const name = source.replace(/^functions\//, "").replace("/", "-");
  return {
    name,
    entry: join(root, `${source}.ts`),
    outfile: join(root, ".build/functions", name, "index.js"),
    zip: join(root, ".build/functions", `${name}.zip`),
  };
}

/** Everything to bundle under `root`: the functions of serverless.yml, agent and CLI if present. */
function targetsOf(root: string): Target[] {
  const { functions } = readService(join(root, "serverless.yml"));
  const programs = ["agent", "cli"].flatMap((name): Target[] => {
    const entry = join(root, name, "main.ts");
    return existsSync(entry) ? [{ name, entry, outfile: join(root, ".build", `${name}.cjs`) }] : [];
  });
  return [...functions.map(({ handler }) => functionTarget(root, handler)), ...programs];
}

/** A zip with one file whose bytes depend on nothing but its contents. */
export async function zipOf(contents: Uint8Array): Promise<Buffer> {
  const archive = new ZipFile();
  archive.addBuffer(Buffer.from(contents), "index.js", {
    mtime: new Date("2000-01-01T00:00:00Z"),
    mode: 0o100644,
  });
  archive.end();
  const chunks: Buffer[] = [];
  for await (const chunk of archive.outputStream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

function sizesOf(metafile: Metafile): { own: number; sdk: number } {
  let own = 0;
  let sdk = 0;
  for (const { inputs } of Object.values(metafile.outputs)) {
    for (const [path, { bytesInOutput }] of Object.entries(inputs)) {
      if (/node_modules\/@(?:aws-sdk|smithy|aws)\//.test(path)) sdk += bytesInOutput;
      else own += bytesInOutput;
    }
  }
  return { own, sdk };
}

/** Bundles one target as CommonJS (a third of the import time of ESM, serverless.md §7). */
async function bundle(target: Target, root: string): Promise<Bundle> {
  const result = await build({
    absWorkingDir: root,
    entryPoints: [target.entry],
    bundle: true,
    minify: true,
    platform: "node",
    target: "node24",
    format: "cjs",
    mainFields: ["module", "main"],
    legalComments: "none",
    logLevel: "silent",
    metafile: true,
    write: false,
    outfile: target.outfile,
  });
  const [output] = result.outputFiles;
  if (output === undefined) throw new Error(`${target.name}: nothing was built`);
  await mkdir(dirname(target.outfile), { recursive: true });
  await writeFile(target.outfile, output.contents);
  const sizes = { name: target.name, ...sizesOf(result.metafile) };
  if (target.zip === undefined) return sizes;
  const zip = await zipOf(output.contents);
  await writeFile(target.zip, zip);
  return { ...sizes, zip: zip.length };
}

/** Bundles too large for a function; the agent and the CLI have no such limit. */
export function tooLarge(bundles: readonly Bundle[]): Bundle[] {
  return bundles.filter(({ own, zip }) => zip !== undefined && own > largestOwn);
}

const kilobytes = (bytes: number): string => `${(bytes / 1024).toFixed(0)} KB`.padStart(8);

/** One line per bundle. */
export function reportOf({ name, own, sdk, zip }: Bundle): string {
  const packed = zip === undefined ? "" : `  zip ${kilobytes(zip)}`;
  return `${name.padEnd(24)} own ${kilobytes(own)}  sdk ${kilobytes(sdk)}${packed}`;
}

/**
 * Builds everything under `root` into `.build/`, from scratch. Rejects on a compile error, when the
 * others are built as well.
 */
export async function buildAll(root: string): Promise<Bundle[]> {
  await rm(join(root, ".build/functions"), { recursive: true, force: true });
  const bundles = targetsOf(root).map((target) => bundle(target, root));
  await Promise.allSettled(bundles);
  return await Promise.all(bundles);
}

async function main(): Promise<void> {
  const root = dirname(import.meta.dirname);
  const started = performance.now();
  const bundles = await buildAll(root);
  for (const each of bundles) console.log(reportOf(each));
  console.log(`${bundles.length} bundles in ${(performance.now() - started).toFixed(0)} ms`);
  const large = tooLarge(bundles);
  for (const { name } of large) console.error(`${name} is over 300 KB of its own code`);
  if (large.length > 0) process.exitCode = 1;
}

if (import.meta.main) await main();
