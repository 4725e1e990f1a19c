import { chmod, mkdir, mkdtemp, realpath, rm, writeFile } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import type { Sleep } from "../../../agent/host/deadline.ts";
import { linuxTools } from "../../../agent/host/linux/tools.ts";
import { type ToolName, type Tools, toolNames } from "../../../agent/host/tools.ts";

/** How a fake program was started. */
export interface ToolStart {
  readonly tool: ToolName;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly pid: number;
}

/** How it ends; `never` means that it does not. */
export type ToolEnd =
  | { readonly code?: number; readonly stdout?: string; readonly stderr?: string }
  | "never";

export interface FakeTools {
  readonly tools: Tools;
  /** Every start so far, in order. */
  readonly starts: readonly ToolStart[];
  /** Where the tools' files come and go. */
  readonly folder: string;
  readonly close: () => Promise<void>;
}

export interface FakeToolOptions {
  /** Programs that are not installed. */
  readonly without?: readonly ToolName[];
  /** Runs no process: for tests of what comes after the tools. */
  readonly inProcess?: true;
  /** Waits for the bound of a call. */
  readonly sleep?: Sleep;
}

const program = (tool: ToolName, socket: string) => `#!${process.execPath}
const link = require("node:net").connect(${JSON.stringify(socket)});
const start = { tool: ${JSON.stringify(tool)}, args: process.argv.slice(2), env: process.env, cwd: process.cwd(), pid: process.pid };
link.write(JSON.stringify(start) + "\\n");
let text = "";
link.on("data", (chunk) => { text += chunk; }).on("end", () => {
  const { code = 0, stdout = "", stderr = "" } = JSON.parse(text);
  process.stdout.write(stdout);
  process.stderr.write(stderr);
  process.exitCode = code;
});
`;

/**
 * Real executables in a folder of their own, run by the real port. What each does is asked of
 * `behave` in this process, where the cards are.
 */
export async function fakeTools(
  behave: (start: ToolStart) => ToolEnd | Promise<ToolEnd>,
  { without = [], inProcess, ...limits }: FakeToolOptions = {},
): Promise<FakeTools> {
  const home = await realpath(await mkdtemp(join(tmpdir(), "gatehouse-tools-")));
  const socket = join(home, "desk");
  const starts: ToolStart[] = [];
  const open = new Set<Socket>();
  const server = createServer((link) => {
    open.add(link);
    link.on("close", () => open.delete(link)).on("error", () => undefined);
    link.once("data", (line) => {
      const start = JSON.parse(line.toString()) as ToolStart;
      starts.push(start);
      void Promise.resolve(behave(start)).then((end) => {
        if (end !== "never") link.end(JSON.stringify(end));
      });
    });
  });
  await new Promise<void>((done) => server.listen(socket, done));
  const bin = join(home, "bin");
  await mkdir(bin);
  for (const tool of toolNames.filter((one) => !without.includes(one))) {
    await writeFile(join(bin, tool), program(tool, socket));
    await chmod(join(bin, tool), 0o755);
  }
  const paths = Object.fromEntries(toolNames.map((tool) => [tool, join(bin, tool)]));
  const folder = join(home, "files");
  const run = async ({ path, args }: { path: string; args: readonly string[] }) => {
    const start = { tool: basename(path) as ToolName, args, env: {}, cwd: "/", pid: 0 };
    starts.push(start);
    const end = await behave(start);
    if (end === "never") return new Promise<never>(() => undefined);
    return { code: 0, stdout: "", stderr: "", ...end };
  };
  return {
    tools: linuxTools({
      paths: paths as Record<ToolName, string>,
      folder,
      ...limits,
      ...(inProcess && { run }),
    }),
    starts,
    folder,
    async close() {
      for (const link of open) link.destroy();
      await new Promise((done) => server.close(done));
      await rm(home, { recursive: true, force: true });
    },
  };
}
