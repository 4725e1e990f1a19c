import type { Driver } from "../../agent/drivers/driver.ts";
import type { Failpoints } from "./failpoints.ts";

/**
 * A driver that says a handle is clean and did nothing (`agent.clean=skip`): planted, to see that the
 * data a guest left behind is found.
 */
export function lyingDriver(driver: Driver, failpoints: Failpoints): Driver {
  return {
    ...driver,
    cleanHandle: async (place, handle) => {
      if (failpoints.draw("agent.clean")?.action !== "skip")
        await driver.cleanHandle(place, handle);
    },
  };
}
