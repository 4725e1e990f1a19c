import { afterAll, beforeAll } from "vitest";
import { allocationScenarios } from "../placement/allocation-scenarios.ts";
import { changeScenarios } from "../placement/change-scenarios.ts";
import { syncScenarios } from "../placement/sync-scenarios.ts";
import { type Placement, startPlacement } from "./services/placement.ts";

let placement: Placement | undefined;

beforeAll(async () => {
  placement = await startPlacement();
});

afterAll(async () => {
  await placement?.stop();
});

const reach = async () => {
  if (placement === undefined) throw new Error("Placement did not start");
  return await Promise.resolve({ url: placement.url, fetch: globalThis.fetch });
};

syncScenarios(reach);
changeScenarios(reach);
allocationScenarios(reach);
