import { execFileSync } from "node:child_process";
import { join } from "node:path";

/** Installs what is missing. */
export function setup(): void {
  execFileSync(join(import.meta.dirname, "install.sh"), { stdio: "inherit" });
}
