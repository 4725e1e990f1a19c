import { Fault } from "#domain/faults";
import { parseLooseUuid } from "#protocol/images/uuid";
import { deployableId } from "#protocol/uuid";
import type { Loaded } from "#protocol/wire/shapes";
import { pciPath, readIfThere } from "../host/pci.ts";
import {
  type CardContext,
  type CardFamily,
  degraded,
  deviceOf,
  handleAt,
  identified,
  loadedOf,
  loadedPart,
  pcieHealth,
} from "./card-family.ts";

import { scrubPart } from "./scrub-method.ts";

const region = "card";

/**
 * AMD's cards under XRT (host.md §1.5). The management PF is never a handle: whoever has it can
 * rewrite the card's flash. The user PF is the one handle of the whole card.
 */
export const xrt: CardFamily = {
  name: "xrt",
  formats: ["xclbin"],
  recognises: ({ names, known }) => names.includes("mgmt_pf") || known?.family === "xrt",
  async describe(context, card) {
    const management = card.pci.address;
    const user = userOf(management);
    if (!(await context.port.exists(pciPath(user)))) throw new Error("the user PF is missing");
    const interfaceId = await interfaceOf(context, management);
    const loaded = await loadedAt(context, card.cardId, user);
    const handles = [await handleAt(context.port, { name: "pf", type: "PF", address: user })];
    const deployable = {
      id: deployableId(context.hostId, card.cardId, region),
      region,
      ...(interfaceId !== undefined && { interfaceId }),
      programmable: interfaceId !== undefined,
      sharing: "none" as const,
      ...loadedPart(loaded),
      health: await healthAt(context, management),
      ...(await scrubPart(context, { interfaceId, handles })),
    };
    return deviceOf(context, card, { driver: "xrt", layout: "whole", deployables: [deployable] });
  },
  loaded: (context, { device }) => loadedAt(context, device.cardId, userOf(device.address)),
  health: (context, { device }) => healthAt(context, device.address),
  interfaceId: (context, { device }) => interfaceOf(context, device.address),
  async requireIdle() {
    // The user PF's own holders are those of its VFIO group; XRT's host node is not handed out.
  },
  async repair(context, place) {
    const management = place.device.address;
    if (!(await isOffline(context, management))) return;
    await reset(context, management);
    if (await isOffline(context, management)) {
      throw degraded(place, "The card stays offline after a reset; the host must be restarted");
    }
  },
  async send(context, place, image, progress) {
    await context.pr.programUser(place.device.address, image, progress);
  },
  complaint: async () => "",
};

/** Function 1 of the card. Throws INVALID_REQUEST when the place is not function 0. */
function userOf(management: string): string {
  if (!management.endsWith(".0")) {
    throw new Fault("INVALID_REQUEST", "The management PF of an Alveo card is function 0");
  }
  return management.replace(/0$/, "1");
}

/** XRT's own reset where it is installed; it also restarts the firewall and the clocks. */
async function reset(context: CardContext, management: string): Promise<void> {
  if (await context.tools.has("xbutil")) await context.tools.resetUser(userOf(management));
  else await context.port.write(`${pciPath(management)}/reset`, "1", context.writeDeadlineMs);
}

/** The shell's last interface is the one that logic is linked against. */
async function interfaceOf({ port }: CardContext, management: string) {
  const ids = (await port.read(`${pciPath(management)}/interface_uuids`)).split("\n");
  return parseLooseUuid(ids.at(-1)?.trim() ?? "");
}

async function loadedAt(
  context: CardContext,
  cardId: string,
  user: string,
): Promise<Loaded | undefined> {
  // One line per slot, none when nothing is loaded; no file at all without XRT's driver.
  const text = await readIfThere(context.port, `${pciPath(user)}/xclbinuuid`);
  if (text === undefined) return identified(context, cardId, region);
  return loadedOf(context, parseLooseUuid(text.split("\n")[0]?.trim() ?? ""));
}

async function isOffline({ port }: CardContext, management: string): Promise<boolean> {
  return (await readIfThere(port, `${pciPath(management)}/dev_offline`)) === "1";
}

async function healthAt(context: CardContext, management: string) {
  if (await isOffline(context, management)) {
    return { state: "degraded" as const, reason: "the card is offline until a reset" };
  }
  return pcieHealth(context.port, management);
}
