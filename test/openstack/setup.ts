import { execFileSync } from "node:child_process";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { type Stack, startStack } from "./services/stack.ts";
import type { SharedStack } from "./shared.ts";

/**
 * Installs what is missing. The first file that asks for the whole stack has it started; all others of
 * the run use the same. Returns what ends it.
 */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  execFileSync(join(import.meta.dirname, "install.sh"), { stdio: "inherit" });
  let stack: Promise<Stack> | undefined;
  const server = createServer((_request, response) => {
    stack ??= startStack();
    stack.then(
      (started) => response.end(JSON.stringify(described(started))),
      (error: unknown) => response.writeHead(500).end(String(error)),
    );
  });
  // The stack may take longer than the server would wait for its answer.
  server.requestTimeout = 0;
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  project.provide("stackDoor", `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  return async () => {
    server.close();
    await (await stack?.catch(() => undefined))?.stop();
  };
}

function described({ keystone, placement, glance, nova }: Stack): SharedStack["where"] {
  return {
    authUrl: keystone.authUrl,
    placementUrl: placement.url,
    glanceUrl: glance.url,
    novaUrl: nova.url,
    novaLogs: nova.logs,
    computeName: nova.computeName,
  };
}
