import { Fault } from "#domain/faults";
import { parseLooseUuid } from "#protocol/images/uuid";
import { isPciAddress, listIfThere, readIfThere } from "../host/pci.ts";
import type { Bitstream, PrPort } from "../host/pr-port.ts";
import { kernelError, type SysfsPort } from "../host/sysfs-port.ts";
import type { Tools } from "../host/tools.ts";
import { mayAskHolders, mayRead } from "./grammar.ts";
import { type GuardOptions, judgeWrite, requireOurs } from "./guard.ts";
import { type JudgeOptions, judgedFile } from "./images.ts";
import type { HelperRequest } from "./requests.ts";

const platformDevices = "/sys/bus/platform/devices";

/** What the privileged process works with. */
export interface Powers {
  readonly port: SysfsPort;
  readonly pr: PrPort;
  readonly tools: Tools;
  readonly guard: GuardOptions;
  readonly images: JudgeOptions;
}

/** Does one request, after it was judged. Rejects with a Fault or a KernelError. */
export async function perform(powers: Powers, request: HelperRequest): Promise<unknown> {
  if ("engine" in request) {
    await onEngine(powers, request);
    return null;
  }
  if ("path" in request || "node" in request) return await onPort(powers, request);
  if (request.verb === "has") return await powers.tools.has(request.tool);
  return (await withTool(powers, request)) ?? null;
}

type OnPort = Extract<HelperRequest, { readonly verb: "read" | "write" | "holders" }>;

async function onPort({ port, guard }: Powers, request: OnPort): Promise<unknown> {
  if (request.verb === "write") {
    await judgeWrite(guard, request.path, request.value);
    await port.write(request.path, request.value, request.deadlineMs);
    return null;
  }
  if (request.verb === "holders") {
    if (!mayAskHolders(request.node)) throw kernelError("EPERM", request.node);
    return await port.holders(request.node);
  }
  if (!mayRead(request.path)) throw kernelError("EPERM", request.path);
  return await port.read(request.path);
}

type OnEngine = Extract<HelperRequest, { readonly engine: string }>;

async function onEngine({ port, pr, images, guard }: Powers, request: OnEngine): Promise<void> {
  const { engine, verb } = request;
  await requireOurs(guard, await cardOf(port, engine));
  if (verb === "release") return await pr.releasePort(engine, request.port);
  if (verb === "assign") return await pr.assignPort(engine, request.port);
  const image = await judgedFile(images, request.file);
  await requireShell(port, engine, image);
  await pr.programPort(engine, request.port, image, () => undefined);
}

/** The function that an engine belongs to. ENODEV when there is no such engine. */
async function cardOf(port: SysfsPort, engine: string): Promise<string> {
  const target = await port.readlink(`${platformDevices}/${engine.replace("/dev/", "")}`);
  const address = target.split("/").findLast(isPciAddress);
  if (address === undefined) throw kernelError("ENODEV", engine);
  return address;
}

/** The kernel does not look (host.md §2.1), and whoever asked may be wrong or worse. */
async function requireShell(port: SysfsPort, engine: string, image: Bitstream): Promise<void> {
  const shell = await shellOf(port, engine);
  if (shell !== undefined && image.interfaceId === shell) return;
  throw new Fault("IMAGE_INCOMPATIBLE", undefined, {
    field: "interfaceId",
    expected: shell ?? "a card with a shell",
  });
}

async function shellOf(port: SysfsPort, engine: string): Promise<string | undefined> {
  const base = `${platformDevices}/${engine.replace("/dev/", "")}`;
  for (const name of await listIfThere(port, base)) {
    if (!name.startsWith("dfl-fme-region.")) continue;
    for (const region of await listIfThere(port, `${base}/${name}/fpga_region`)) {
      const text = await readIfThere(port, `${base}/${name}/fpga_region/${region}/compat_id`);
      const id = parseLooseUuid(text ?? "");
      if (id !== undefined) return id;
    }
  }
  return undefined;
}

type WithTool = Exclude<
  HelperRequest,
  OnEngine | { readonly verb: "read" | "write" | "holders" | "has" }
>;

async function withTool({ tools, guard, images }: Powers, request: WithTool): Promise<unknown> {
  if ("address" in request) await requireOurs(guard, request.address);
  switch (request.verb) {
    case "configure":
      return await tools.configure(request.address, await whole(images, request.file));
    case "program-user":
      return await tools.programUser(request.address, await whole(images, request.file));
    case "reset-user":
      return await tools.resetUser(request.address);
    case "describe-afi":
      return await tools.describeAfi(request.address);
    case "load-afi":
      return await tools.loadAfi(request.slot, request.agfi);
    case "clear-afi":
      return await tools.clearAfi(request.slot);
    default:
      return refuse(request);
  }
}

function refuse(request: never): never {
  throw kernelError("EPERM", JSON.stringify(request));
}

async function whole(
  images: JudgeOptions,
  file: Parameters<typeof judgedFile>[1],
): Promise<Buffer> {
  const { file: bytes } = await judgedFile(images, file);
  if (!bytes) throw new Fault("IMAGE_CORRUPT", "The image has no file");
  return bytes;
}
