import { closeSync, constants, openSync, readFileSync, writeSync } from "node:fs";
import { kernelError } from "../sysfs-port.ts";
import type { ChildRequest } from "./child-request.ts";
import { loadIoctl, movePort, programPort } from "./ioctl.ts";

/** Does what a request says and returns its value. Rejects with the kernel's error. */
export async function perform(request: ChildRequest, payload: Buffer): Promise<string> {
  switch (request.verb) {
    case "write":
      writeOnce(request.path, request.value);
      return "";
    case "read":
      return readFileSync(request.path, "utf8");
    case "program":
      programPort(await loadIoctl(), request, payload);
      return "";
    case "release":
    case "assign":
      movePort(await loadIoctl(), request.verb, request);
      return "";
    default:
      return refuse(request);
  }
}

/** A verb that is on no list, from an agent of another version. */
function refuse(request: never): never {
  throw kernelError("EINVAL", JSON.stringify(request));
}

/**
 * One write(2) of the whole value to what is there: O_WRONLY alone, so that a missing attribute is
 * ENOENT and never made (host.md §3.1).
 */
function writeOnce(path: string, value: string): void {
  const fd = openSync(path, constants.O_WRONLY);
  try {
    writeSync(fd, value);
  } finally {
    closeSync(fd);
  }
}
