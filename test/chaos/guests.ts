import type { Driver } from "../../agent/drivers/driver.ts";
import type { MemoryKernel } from "../../agent/host/memory-kernel/kernel.ts";
import type { Agent } from "../../agent/start.ts";

/** Pid that stands for a guest in a simulated kernel. */
const guestPid = 4242;
const everyMs = 150;

/**
 * Guests that use what is plugged for them and leave their data in it: whatever is offered again
 * afterwards must have been cleaned.
 */
export function startGuests(
  agent: Agent,
  kernel: MemoryKernel,
  driver: Driver,
): { readonly stop: () => void } {
  let isBusy = false;
  const timer = setInterval(() => {
    if (isBusy) return;
    isBusy = true;
    useAll(agent, kernel, driver)
      .catch((error: unknown) => process.stderr.write(`guest: ${String(error)}\n`))
      .finally(() => {
        isBusy = false;
      });
  }, everyMs);
  return { stop: () => clearInterval(timer) };
}

async function useAll(agent: Agent, kernel: MemoryKernel, driver: Driver): Promise<void> {
  const plugged = new Set(
    agent.status().deployables.flatMap(({ deployable, handles }) =>
      Object.entries(handles)
        .filter(([, { state }]) => state === "plugged")
        .map(([name]) => `${deployable} ${name}`),
    ),
  );
  const { devices } = await driver.discover();
  const addresses = devices
    .flatMap(({ deployables }) => deployables)
    .flatMap(({ id, handles }) =>
      handles.filter(({ name }) => plugged.has(`${id} ${name}`)).map(({ address }) => address),
    );
  for (const address of addresses) await use(kernel, address);
}

/** A guest that cannot get in is not plugged any more. */
async function use(kernel: MemoryKernel, address: string): Promise<void> {
  const found = kernel.snapshot().functions.find((one) => one.address === address);
  if (found?.driver !== "vfio-pci" || found.dirty) return;
  const node = `/dev/vfio/${found.group}`;
  const opened = kernel.open(node, { pid: guestPid, command: "guest" });
  await opened.catch(() => undefined);
  await kernel.close(node, guestPid);
}
