import { describe } from "vitest";
import { glanceUser } from "../glance/client.ts";
import { glanceScenarios } from "../glance/scenarios.ts";
import { startOffline } from "../offline/support.ts";
import { startGlance } from "./services/glance.ts";
import { demo, osSettings, serviceAccount, startKeystone } from "./services/keystone.ts";

describe("the real Glance", () => {
  glanceScenarios(async () => {
    const keystone = await startKeystone();
    const glance = await startGlance(keystone);
    const account = osSettings(keystone.authUrl, serviceAccount("gatehouse"));
    const offline = await startOffline({ GATEHOUSE_GLANCE: "write", ...account });
    return {
      admin: glanceUser(glance.url, await keystone.catalog.token()),
      owner: {
        user: glanceUser(glance.url, await keystone.catalog.token(demo)),
        project: await keystone.catalog.project(demo.projectName),
      },
      offline,
      close: async () => {
        await offline.close();
        await glance.stop();
        await keystone.stop();
      },
    };
  });
});
