import type { Place } from "../../agent/drivers/driver.ts";
import { simulatedDriver } from "../../agent/drivers/simulated.ts";
import { stockCards } from "../../agent/host/memory-kernel/cards.ts";
import { verifiedImage } from "../agent/driver-fixtures.ts";
import { bench, guest, hostId, toVfio } from "../agent/kernels.ts";
import { type DriverSubject, driverConformance } from "./driver.ts";

const functions = {
  1: "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa",
  2: "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb",
} as const;

function subject(opaque: boolean): DriverSubject {
  const { kernel, sleep } = bench(stockCards(), { opaque });
  const driver = simulatedDriver({ hostId, port: kernel, pr: kernel, sleep });
  const addressOf = ({ deployable }: Place, name: string) =>
    deployable.handles.find((handle) => handle.name === name)?.address ?? "";
  return {
    driver,
    image: ({ device, deployable }, n) =>
      verifiedImage(
        device.vendor === "xilinx" ? "xclbin" : "gbs",
        functions[n],
        deployable.interfaceId ?? "69528db6-eb31-577a-9926-ab6d6c925a68",
      ),
    async intoGuest(place, handle) {
      const address = addressOf(place, handle);
      const node = await toVfio(kernel, address);
      await kernel.open(node, guest);
      return async () => {
        await kernel.close(node, guest.pid);
        await kernel.write(`/sys/bus/pci/devices/${address}/driver_override`, "\n", 1000);
        await kernel.write("/sys/bus/pci/drivers/vfio-pci/unbind", address, 1000);
        await kernel.write("/sys/bus/pci/drivers_probe", address, 1000);
      };
    },
    failNext: ({ device, deployable }) => kernel.failNext(device.cardId, deployable.region, "crc"),
    breakCard: ({ device }) => kernel.setBroken(device.cardId, true),
    removeCard: ({ device }) => kernel.setPresent(device.cardId, false),
  };
}

driverConformance("simulated", () => subject(false));
driverConformance("simulated, with cards that guests hide", () => subject(true));
