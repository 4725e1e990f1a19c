import { changeScenarios } from "./change-scenarios.ts";
import { PlacementDouble } from "./double.ts";

changeScenarios(async () => {
  const { fetch } = new PlacementDouble();
  return await Promise.resolve({ url: "http://placement.test", fetch });
});
