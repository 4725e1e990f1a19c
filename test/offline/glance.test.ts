import { describe } from "vitest";
import { glanceUser } from "../glance/client.ts";
import { startFakeGlance } from "../glance/fake-glance.ts";
import { glanceScenarios } from "../glance/scenarios.ts";
import { startOffline } from "./support.ts";

describe("a Glance", () => {
  glanceScenarios(async () => {
    const glance = await startFakeGlance();
    const offline = await startOffline({ GATEHOUSE_GLANCE: "write", GLANCE_ENDPOINT: glance.url });
    const admin = glanceUser(glance.url);
    return {
      admin,
      owner: { user: admin, project: glance.owner },
      offline,
      close: async () => {
        await offline.close();
        await glance.close();
      },
    };
  });
});
