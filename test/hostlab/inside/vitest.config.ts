import { tmpdir } from "node:os";
import { join } from "node:path";
import { defineConfig } from "vitest/config";

/** Runs in the guest, whose root is read only but for TMPDIR. */
export default defineConfig({
  root: join(import.meta.dirname, "../../.."),
  cacheDir: join(tmpdir(), "vite"),
  test: {
    include: ["test/hostlab/inside/*.test.ts"],
    fileParallelism: false,
    pool: "threads",
    isolate: false,
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
