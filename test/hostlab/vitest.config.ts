import { join } from "node:path";
import { defineConfig } from "vitest/config";

/** Scenarios in guests with the real kernel drivers; each file boots one of its own. */
export default defineConfig({
  root: join(import.meta.dirname, "../.."),
  test: {
    include: ["test/hostlab/*.test.ts"],
    globalSetup: ["test/hostlab/setup.ts"],
    fileParallelism: false,
    pool: "forks",
    testTimeout: 180_000,
    hookTimeout: 180_000,
  },
});
