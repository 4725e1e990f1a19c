import { constants } from "node:fs";
import { type Files, nodeFiles } from "../../agent/host/files.ts";
import { kernelError } from "../../agent/host/sysfs-port.ts";
import type { Failpoints } from "./failpoints.ts";

/** Files on a disk that `agent.disk=full` fills: what writes is refused, what reads goes on. */
export function fullDisk(failpoints: Failpoints): Files {
  const open: Files["open"] = async (path, flags, mode) => {
    const isWrite = typeof flags === "number" && (flags & constants.O_WRONLY) !== 0;
    if (isWrite && failpoints.draw("agent.disk")?.action === "full") {
      throw kernelError("ENOSPC", String(path));
    }
    return await nodeFiles.open(path, flags, mode);
  };
  return { ...nodeFiles, open };
}
