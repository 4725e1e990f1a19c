import { join } from "node:path";
import { defineConfig } from "vitest/config";

/** Against the real services of Debian's OpenStack; files that need the whole stack share one. */
export default defineConfig({
  root: join(import.meta.dirname, "../.."),
  test: {
    include: ["test/openstack/**/*.test.ts"],
    globalSetup: ["test/openstack/setup.ts"],
    fileParallelism: false,
    pool: "forks",
    testTimeout: 60_000,
    hookTimeout: 180_000,
  },
});
