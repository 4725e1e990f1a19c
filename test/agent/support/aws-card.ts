import type { Sleep } from "../../../agent/host/deadline.ts";
import { alveoCard } from "../../../agent/host/memory-kernel/cards.ts";
import type { MemoryKernel } from "../../../agent/host/memory-kernel/kernel.ts";
import type { SysfsPort } from "../../../agent/host/sysfs-port.ts";
import { bench, devices, firstPf } from "../kernels.ts";
import type { ToolEnd, ToolStart } from "./fake-tools.ts";
import { type Extra, type Extras, overlaid, shows } from "./overlay.ts";

export const mailbox = "0000:10:00.1";
const application = firstPf;

/** How AWS's tools name what went wrong (host.md §1.6), as far as the tests need it. */
export const awsErrors = {
  busy: 3,
  "invalid-afi-id": 5,
  "afi-load-timeout": 6,
  "cl-id-mismatch": 12,
  "unspecified-error": 14,
  "shell-version-not-supported": 16,
  "hardware-busy": 19,
  "pci-device-missing": 20,
  "software-problem": 24,
  unresponsive: 25,
} as const;
export type AwsError = keyof typeof awsErrors;

export interface AwsCard {
  readonly kernel: MemoryKernel;
  readonly port: SysfsPort;
  readonly sleep: Sleep;
  /** The slot as the tools show it. */
  readonly slot: { agfi?: string; status: number; error: AwsError | "ok"; device: string };
  /** How the next loads and clears end, one after the other. */
  readonly failures: (AwsError | "none")[];
  /** How many looks after a clear still show a busy slot. */
  clearing: number;
  /** What was done, with the driver that PF0 had at that moment. */
  readonly acts: string[];
  readonly tool: (start: ToolStart) => Promise<ToolEnd>;
}

const statusNames = ["loaded", "cleared", "busy", "not-programmed", "x", "x", "x", "load-failed"];

/** What XRT's driver would show; here another driver has PF0. */
const foreign = ["mgmt_pf", "instance", "mfg", "recovery", "board_name", "interface_uuids"];
const foreignUser = ["userbar", "xclbinuuid", "interface_uuids"];

/** An F2 instance's FPGA: PF0 whose ids the image chooses, and PF1, the mailbox. */
export function awsCard(device = "9248"): AwsCard {
  const seat = alveoCard(0, { vendor: "1d0f", device: "9048", userDevice: device });
  const { kernel, sleep } = bench([seat], { opaque: true });
  const slot: AwsCard["slot"] = { status: 1, error: "ok", device: "9048" };
  const extras = async (): Promise<Extras> => {
    const hide = (address: string, names: readonly string[]): [string, Extra][] =>
      names.map((name) => [`${devices}/${address}/${name}`, "hidden"]);
    const here = await kernel.read(`${devices}/${application}/vendor`).then(
      () => true,
      () => false,
    );
    const ids = { [`${devices}/${application}/device`]: shows(() => `0x${slot.device}`) };
    return {
      ...Object.fromEntries([...hide(application, foreign), ...hide(mailbox, foreignUser)]),
      ...(here && ids),
    };
  };
  const card: AwsCard = {
    kernel,
    port: overlaid(kernel, extras),
    sleep,
    slot,
    failures: [],
    clearing: 0,
    acts: [],
    tool: (start) => perform(card, start),
  };
  return card;
}

async function perform(card: AwsCard, { tool, args }: ToolStart): Promise<ToolEnd> {
  const after = (flag: string) => args[args.indexOf(flag) + 1] ?? "";
  if (tool === "fpga-describe-local-image-slots") return { stdout: deviceLine(card) };
  if (tool !== "fpga-describe-local-image") {
    if (after("-S") !== "0") return { code: 1, stdout: "Error: (14) unspecified-error" };
    const agfi = tool === "fpga-load-local-image" ? after("-I") : undefined;
    return change(card, agfi);
  }
  return { stdout: `${imageLine(card)}\n${deviceLine(card)}` };
}

function deviceLine({ slot }: AwsCard): string {
  return `AFIDEVICE    0       0x1d0f      0x${slot.device}      ${application}\n`;
}

function imageLine(card: AwsCard): string {
  const { agfi, status, error } = card.slot;
  const shown = card.clearing > 0 ? 2 : status;
  if (card.clearing > 0) card.clearing--;
  const number = error === "ok" ? 0 : awsErrors[error];
  const head = `AFI          0       ${agfi ?? "No AFI"}  ${statusNames[shown]}  ${shown}`;
  return `${head}        ${error}               ${number}       0x10212415`;
}

async function change(card: AwsCard, agfi: string | undefined): Promise<ToolEnd> {
  const driver = await card.kernel
    .readlink(`${devices}/${application}/driver`)
    .then((target) => target.split("/").at(-1))
    .catch(() => "none");
  card.acts.push(`${agfi === undefined ? "clear" : "load"} with ${driver}`);
  const error = card.failures.shift();
  const { slot } = card;
  delete slot.agfi;
  if (error !== undefined && error !== "none") {
    Object.assign(slot, { status: agfi === undefined ? slot.status : 7, error, device: "9048" });
    return { code: 1, stdout: `Error: (${awsErrors[error]}) ${error}\n` };
  }
  Object.assign(slot, { status: 1, error: "ok", device: "9048" });
  // A loaded image is another PCI device.
  if (agfi !== undefined) Object.assign(slot, { agfi, status: 0, device: "f010" });
  return {};
}
