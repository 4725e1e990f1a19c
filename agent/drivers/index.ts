import type { Driver } from "./driver.ts";
import { type DriverHost, simulatedDriver } from "./simulated.ts";

/** Every driver by the name under which inventories and settings know it. */
export const drivers = {
  simulated: simulatedDriver,
} as const satisfies Readonly<Record<string, (host: DriverHost) => Driver>>;
