#!/usr/bin/env node
import { spawn } from "node:child_process";
import { fileURLToPath as path } from "node:url";

const [main, node] = ["./main.ts", "../node_modules/.bin/node"].map(
  (at) => new URL(at, import.meta.url),
);
if (Number.parseInt(process.versions.node, 10) >= 24) await import(main.href);
else {
  // An interrupt reaches the whole process group; the child decides what it means.
  process.on("SIGINT", () => undefined);
  spawn(path(node), [path(main), ...process.argv.slice(2)], { stdio: "inherit" })
    .on(
      "error",
      () => (console.error("gatehouse needs Node 24: run npm ci"), (process.exitCode = 1)),
    )
    .on("exit", (code) => (process.exitCode = code ?? 130));
}
