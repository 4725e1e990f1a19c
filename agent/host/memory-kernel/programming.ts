import type { Sleep } from "../deadline.ts";
import type { Bitstream, Progress } from "../pr-port.ts";
import { blankFunction } from "./cards.ts";
import {
  type CardState,
  type FailureKind,
  type KernelState,
  kernelError,
  type RegionState,
  type RunningProgram,
} from "./state.ts";

/** What a running program needs of its kernel. */
export interface ProgramContext {
  readonly state: () => KernelState;
  readonly changed: () => Promise<void>;
  readonly until: (state: KernelState, done: () => boolean) => Promise<void>;
  readonly sleep: Sleep;
  readonly speed: number;
}

/** Chosen to feel like a card, not measured: 800 ms and 40 ms for each MiB at speed 1. */
const baseMs = 800;
const mebibyteMs = 40;
const steps = 10;

/** What a card answers when it was told to load something else. */
const otherFunction = "0badf00d-0bad-4bad-8bad-0badf00d0bad";

interface Outcome {
  readonly errno?: string;
  readonly manager: string;
  readonly status: string;
}

/** Result codes of the PR ioctl with the manager's words (host.md §2.1). */
const outcomes: Readonly<Record<FailureKind | "none", Outcome>> = {
  none: { manager: "operating", status: "" },
  hang: { manager: "operating", status: "" },
  "wrong-read-back": { manager: "operating", status: "" },
  crc: { errno: "EIO", manager: "write complete error", status: "reconfig CRC error" },
  incompatible: {
    errno: "EIO",
    manager: "write complete error",
    status: "reconfig incompatible image",
  },
  timeout: { errno: "ETIMEDOUT", manager: "write init error", status: "" },
  vanish: { errno: "ENODEV", manager: "unknown", status: "" },
};

/** Takes the next planned failure of a region, if there is one. */
function nextFailure(state: KernelState, card: CardState, region: RegionState) {
  const plan = state.failures.find((one) => one.card === card.id && one.region === region.key);
  if (!plan) return undefined;
  plan.times--;
  state.failures = state.failures.filter((one) => one.times > 0);
  return plan.kind;
}

/** The hardware does not look at ids; bits for another shell just do not work (host.md §2.1). */
function unfit(card: CardState, image: Bitstream): boolean {
  const { description } = card;
  if (image.interfaceId === undefined || !("interfaceId" in description)) return false;
  return image.interfaceId !== description.interfaceId;
}

/** Sends a bitstream into a region. Rejects with the errno of the ioctl or tool. */
export async function programRegion(
  context: ProgramContext,
  target: { readonly card: CardState; readonly region: RegionState },
  image: Bitstream,
  progress: Progress,
): Promise<void> {
  const { card, region } = target;
  const state = context.state();
  if (card.regions.some((one) => one.running)) throw kernelError("EBUSY", card.id);
  const failure =
    nextFailure(state, card, region) ?? (unfit(card, image) ? "incompatible" : "none");
  const running: RunningProgram = { functionId: image.functionId, failure };
  region.running = running;
  card.managerState = "write";
  card.managerStatus = "";
  await context.changed();
  await transfer(context, image.bytes.length, progress);
  await context.until(state, () => failure !== "hang" || region.running !== running);
  const errno = region.running === running ? finish(card, region) : undefined;
  await context.changed();
  if (errno !== undefined) throw kernelError(errno, card.id);
}

async function transfer(context: ProgramContext, bytes: number, progress: Progress) {
  const total = (baseMs + (mebibyteMs * bytes) / (1 << 20)) / context.speed;
  for (let step = 1; step <= steps; step++) {
    if (total > 0) await context.sleep(total / steps);
    progress((100 * step) / steps);
  }
}

/** The running program ends as planned. Returns the errno its caller gets. */
export function finish(card: CardState, region: RegionState): string | undefined {
  const { running } = region;
  if (!running) return undefined;
  const { errno, manager, status } = outcomes[running.failure];
  region.running = null;
  if (!card.present) return "ENODEV";
  card.managerState = manager;
  card.managerStatus = status;
  if (running.failure === "vanish") card.present = false;
  if (errno !== undefined) fail(card, region, errno);
  else load(region, running.failure === "wrong-read-back" ? otherFunction : running.functionId);
  return errno;
}

/** A DFL port stays in reset and keeps its last good logic; an Alveo card has nothing loaded. */
function fail(card: CardState, region: RegionState, errno: string): void {
  if (card.description.model === "dfl") region.stuck = true;
  else region.loaded = blankFunction;
  if (card.description.model === "alveo" && errno === "ETIMEDOUT") card.offline = true;
}

function load(region: RegionState, functionId: string): void {
  region.loaded = functionId;
  if (functionId === blankFunction) region.dirty = false;
}
