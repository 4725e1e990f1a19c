import type { Bitstream, Progress, PrPort } from "../pr-port.ts";
import { type Machine, nodeAt } from "./machine.ts";
import { programRegion } from "./programming.ts";
import { type CardState, cardById, functionAt, kernelError } from "./state.ts";
import { assignPort, releasePort } from "./virtual-functions.ts";

/** The ioctl of dfl-fme and the double of xbmgmt. */
export function programmingPort(machine: Machine): PrPort {
  const context = {
    state: machine.state,
    changed: machine.changed,
    until: machine.until,
    sleep: machine.sleep,
    speed: machine.options.speed ?? 1,
  };
  const engine = (fme: string) => engineAt(machine, fme);
  const identify = async (cardId: string, key: string) => {
    const { present, regions } = cardById(machine.state(), cardId);
    const region = regions.find((one) => one.key === key);
    return present && region && !region.stuck && !region.running ? region.loaded : undefined;
  };
  return {
    ...(machine.options.opaque !== true && { identify }),
    async programPort(fme: string, portId: number, image: Bitstream, progress: Progress) {
      const card = engine(fme);
      const region = card.regions[portId];
      if (!region) throw kernelError("EINVAL", `port ${portId}`);
      await programRegion(context, { card, region }, image, progress);
    },
    async releasePort(fme, portId) {
      releasePort(machine.state(), engine(fme), portId);
      await machine.changed();
    },
    async assignPort(fme, portId) {
      assignPort(machine.state(), engine(fme), portId);
      await machine.changed();
    },
    async programUser(management, image, progress) {
      const fn = functionAt(machine.state(), management);
      if (fn?.role !== "management" || fn.driver !== fn.native) {
        throw kernelError("ENODEV", management);
      }
      const card = cardById(machine.state(), fn.card);
      const [region] = card.regions;
      if (!region || card.offline) throw kernelError("EIO", management);
      await programRegion(context, { card, region }, image, progress);
    },
  };
}

/** The card of a management engine that nobody has open. */
function engineAt(machine: Machine, fme: string): CardState {
  if (!nodeAt(machine.root(), fme)) throw kernelError("ENOENT", fme);
  if ((machine.state().holders[fme] ?? []).length > 0) throw kernelError("EBUSY", fme);
  const number = Number(/^\/dev\/dfl-fme\.(\d+)$/.exec(fme)?.[1]);
  const card = machine.state().cards.find((one) => one.number === number && one.present);
  if (!card) throw kernelError("ENODEV", fme);
  return card;
}
