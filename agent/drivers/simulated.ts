import { blankFunction } from "../host/memory-kernel/cards.ts";
import { cardsDriver, type DriverHost } from "./cards.ts";
import type { Driver } from "./driver.ts";

/** The kernel pads to words of 4 bytes; a real blank image has a shell's worth of them. */
const blankBytes = Buffer.alloc(4);

/**
 * The cards of a kernel in memory, read and programmed by the drivers of real ones: through sysfs,
 * with the ioctl and xbmgmt as a port. Only the bitstreams are not decoded, and every shell has a
 * blank image.
 */
export function simulatedDriver(host: DriverHost): Driver {
  const blank = { functionId: blankFunction, bytes: blankBytes, payloadOffset: 0 };
  return cardsDriver({
    ...host,
    blanks: {
      for: (interfaceId) => ({ ...blank, interfaceId }),
      has: (functionId) => functionId === blankFunction,
    },
  });
}
