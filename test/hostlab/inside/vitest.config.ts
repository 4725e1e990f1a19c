import { join } from "node:path";
import { defineConfig } from "vitest/config";

/** Runs in the guest, whose root is read only but for /tmp. */
export default defineConfig({
  root: join(import.meta.dirname, "../../.."),
  cacheDir: "/tmp/vite",
  test: {
    include: ["test/hostlab/inside/*.test.ts"],
    fileParallelism: false,
    pool: "threads",
    isolate: false,
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
