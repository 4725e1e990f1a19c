import { PlacementDouble } from "./double.ts";
import { syncScenarios } from "./sync-scenarios.ts";

syncScenarios(async () => {
  const { fetch } = new PlacementDouble();
  return await Promise.resolve({ url: "http://placement.test", fetch });
});
