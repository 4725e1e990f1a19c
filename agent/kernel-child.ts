import type { ChildAnswer } from "./host/linux/child-request.ts";
import { perform } from "./host/linux/child-verbs.ts";
import { framesOf } from "./host/linux/frames.ts";
import { loadIoctl } from "./host/linux/ioctl.ts";
import { isKernelError } from "./host/sysfs-port.ts";

/**
 * The process that goes into the kernel for the agent and may never come back: frames on standard
 * input, one answer line each. It ends when its agent does and the call it is in has returned.
 */
async function serve(): Promise<void> {
  // Loaded ahead, while nobody waits; a host without it is told when it is asked to program.
  await loadIoctl().catch(() => undefined);
  for await (const { request, payload } of framesOf(process.stdin)) {
    const answer = await perform(request, payload).then(
      (value): ChildAnswer => ({ value }),
      (error: unknown): ChildAnswer => ({
        errno: isKernelError(error) ? error.code : "EIO",
        message: error instanceof Error ? error.message : String(error),
      }),
    );
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  }
}

// An agent that is gone hears no answer, and nobody is left to be told of that.
process.stdout.on("error", () => process.exit(0));
serve().catch((error: unknown) => {
  process.stderr.write(`kernel child: ${String(error)}\n`);
  process.exitCode = 1;
});
