import type { Driver, Place } from "../../../agent/drivers/driver.ts";
import { simulatedDriver } from "../../../agent/drivers/simulated.ts";
import type { World } from "./world.ts";

/** What a test does round every program. */
export interface Round {
  before(place: Place): Promise<void>;
  after(place: Place): void;
}

/** The simulated driver with a test's own code round every program. */
export function recordingDriver(world: World, round: Round): Driver {
  const { hostId, kernel, time } = world;
  const driver = simulatedDriver({ hostId, port: kernel, pr: kernel, sleep: time.sleep });
  return {
    ...driver,
    program: async (place, image, work) => {
      await round.before(place);
      await driver.program(place, image, work);
      round.after(place);
    },
  };
}
