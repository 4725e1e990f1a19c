import type { Guest } from "./guest.ts";
import { built } from "./guest.ts";

/** A virtual machine inside the guest, with one empty root port `hp0` for hot plug. */
export interface Nested {
  /** Number of VFIO devices that the inner machine has open. */
  devices(): Promise<number>;
  stop(): Promise<void>;
}

/**
 * Starts QEMU inside the guest under the QMP name `domain`. Its operating system is
 * guest/ejector.S, which gives devices back when it is asked; without one no unplug ever ends.
 */
export async function startNested(guest: Guest, domain: string): Promise<Nested> {
  const pidFile = `/tmp/${domain}.pid`;
  const machine = [
    "qemu-system-x86_64 -M q35 -accel tcg -m 64 -nodefaults -display none",
    `-bios ${built}/bin/ejector.bin -device pcie-root-port,id=hp0,chassis=9,slot=9`,
    `-qmp unix:/run/qmp/${domain}.sock,server=on,wait=off`,
  ].join(" ");
  await guest.sh(`mkdir -p /host/run/qmp
    chroot /host ${machine} > /tmp/${domain}.log 2>&1 < /dev/null & echo $! > ${pidFile}
    until [ -S /host/run/qmp/${domain}.sock ]; do sleep 0.1; [ -e /proc/$(cat ${pidFile}) ] || { cat /tmp/${domain}.log; exit 1; }; done
    chmod 777 /host/run/qmp/${domain}.sock`);
  const pid = await guest.sh(`cat ${pidFile}`);
  return {
    devices: async () =>
      Number(await guest.sh(`ls -l /proc/${pid}/fd | grep -c vfio-device || true`)),
    async stop() {
      await guest.run(`kill -9 ${pid}; while [ -e /proc/${pid} ]; do sleep 0.1; done`);
    },
  };
}
