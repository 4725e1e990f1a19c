import { defineConfig } from "vitest/config";

// The contract suite needs a service to run against; offline, test/offline/contract.test.ts is one.
const contract = process.env["GATEHOUSE_URL"] === undefined ? ["test/contract/**"] : [];

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    exclude: ["test/hostlab/**", "test/openstack/**", ...contract],
    testTimeout: 20_000,
    hookTimeout: 20_000,
    pool: "forks",
    // One core less is the default: of two that would be half.
    maxWorkers: "100%",
  },
});
