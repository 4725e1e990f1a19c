import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { bundleAgent } from "../../tools/agent-package.ts";

const root = join(import.meta.dirname, "../..");

/** Installs what is missing, builds the guest unless it is there, and bundles the agent it runs. */
export async function setup(): Promise<void> {
  execFileSync(join(import.meta.dirname, "install.sh"), { stdio: "inherit" });
  execFileSync(join(import.meta.dirname, "build.sh"), [join(root, ".build/hostlab")], {
    stdio: "inherit",
  });
  await bundleAgent(root);
}
