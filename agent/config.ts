import { readFile } from "node:fs/promises";
import * as z from "zod/mini";
import { Fault } from "#domain/faults";
import { label, uuid } from "#protocol/wire/shapes";
import { knownCards } from "./drivers/pci-ids.ts";
import { isKernelError } from "./host/sysfs-port.ts";
import { toolNames } from "./host/tools.ts";

const origin = z.string().check(z.regex(/^https?:\/\/[^/]+$/));

/** `vendor:device`, `vendor:device:subvendor:subdevice`, or a PCI address. */
const cardMatch =
  /^([0-9a-f]{4}(:[0-9a-f]{4}){1}((:[0-9a-f]{4}){2})?|[0-9a-f]{4,8}:[0-9a-f]{2}:[01][0-9a-f]\.[0-7])$/;

/** One entry of the operator's list. */
const cardEntry = z.pipe(
  z.object({
    match: z.string().check(z.regex(cardMatch)),
    kind: z._default(z.enum(["FPGA", "GPU", "NIC", "QAT", "SSD"]), "FPGA"),
    vendor: label,
    product: label,
    driver: z.optional(z.enum(["dfl", "opae", "xrt", "aws-fpga", "fpga-manager", "pci"])),
  }),
  z.transform(({ driver, ...entry }) => ({ ...entry, driver: driver ?? usualDriver(entry.match) })),
);

/** Another name for a card we know must not make it another card; any other goes as it is. */
function usualDriver(match: string): string {
  const ids = match.split(":").slice(0, 2).join(":");
  return knownCards[match]?.family ?? knownCards[ids]?.family ?? "pci";
}

const absolutePath = z.string().check(z.regex(/^\/[^\0]+$/));

/** What an operator may set; every member has a default. */
const settingsSchema = z.object({
  /** Base URL of the cloud's HTTPS API. */
  url: z.optional(z.string().check(z.regex(/^https?:\/\/[^/]+/))),
  stateDir: z._default(z.string(), "/var/lib/gatehouse-agent"),
  socket: z._default(z.string(), "/run/gatehouse-agent/agent.sock"),
  /** Socket of the privileged process; without one this process needs the privilege itself. */
  helper: z.optional(z.string()),
  /** Seconds between two looks for cards (host.md §1.8). */
  scanSeconds: z._default(z.int().check(z.minimum(1), z.maximum(3600)), 5),
  /** Folder of Ed25519 public keys, `*.pem`, that may sign images. */
  trustedKeys: z._default(z.string(), "/etc/gatehouse-agent/keys"),
  requireSignature: z._default(z.boolean(), true),
  /** Where images may come from, beside the origins the cloud told at join. */
  imageOrigins: z._default(z.array(origin), []),
  /** Cap of the image cache in MiB. */
  cacheMebibytes: z._default(z.int().check(z.minimum(64)), 4096),
  /** Folder for CDI files (host.md §4.5). */
  cdiDirectory: z._default(z.string(), "/var/run/cdi"),
  /** Folder of QMP sockets, `<guest>.sock` (host.md §4.3). */
  qmpDirectory: z._default(z.string(), "/run/gatehouse-agent/qmp"),
  /** libvirt's program; without it hostdev elements are given out and nothing is attached. */
  virsh: z._default(absolutePath, "/usr/bin/virsh"),
  /** Which libvirt it talks to. */
  libvirtUri: z._default(z.string().check(z.regex(/^[a-z][a-z+]*:[^\s\0]+$/)), "qemu:///system"),
  /** Cards beside those known, and of classes that are refused otherwise (host.md §1.7, §6.2). */
  cards: z._default(z.array(cardEntry), []),
  /** Cards that are left alone: PCI addresses, `vendor:device`, or these with the subsystem. */
  deny: z._default(z.array(z.string().check(z.regex(cardMatch))), []),
  /** Folder of images that erase, `*.gbs`, `*.xclbin` and `<shell>.raw`, one for each shell. */
  blankImages: z._default(z.string(), "/etc/gatehouse-agent/blank"),
  /** Where vendors' programs are, if not where their packages put them (host.md §2.3, §2.4). */
  tools: z._default(z.partialRecord(z.enum(toolNames), absolutePath), {}),
  /** Where the kernel takes the images of FPGA managers from. */
  firmwareFolder: z._default(absolutePath, "/lib/firmware"),
  /** Cards of a simulated kernel instead of this machine's: how many of each kind. */
  simulated: z.optional(
    z.object({
      dfl: z._default(z.int(), 0),
      alveo: z._default(z.int(), 0),
      sriov: z._default(z.int(), 0),
      /** How many times faster than real cards they take bitstreams. */
      speed: z._default(z.number().check(z.positive()), 1),
    }),
  ),
});
export type Settings = z.infer<typeof settingsSchema>;

/** What the join left in the state folder. */
export const identitySchema = z.looseObject({
  host: uuid,
  nodeName: label,
  socketUrl: z.string(),
  httpUrl: z.string(),
  /** Ed25519 public key of permits, SPKI PEM. */
  permitKey: z.string(),
  imageOrigins: z.exactOptional(z.array(origin)),
});
export type Identity = z.infer<typeof identitySchema>;

/** Where the settings file is unless `--config` or GATEHOUSE_CONFIG names another. */
export const defaultConfigPath = "/etc/gatehouse-agent/config.json";

type Environment = Readonly<Record<string, string | undefined>>;
type Reader = (text: string) => unknown;

const words: Reader = (text) => text;
const list: Reader = (text) => text.split(",").filter((one) => one !== "");
/** Anything but a number stays text, so that the schema names the field it stands in. */
const number: Reader = (text) => (/^\d+$/.test(text) ? Number(text) : text);
const flag: Reader = (text) => ({ true: true, false: false })[text] ?? text;

const variables: Readonly<Record<string, readonly [keyof Settings, Reader]>> = {
  GATEHOUSE_URL: ["url", words],
  GATEHOUSE_STATE_DIR: ["stateDir", words],
  GATEHOUSE_SOCKET: ["socket", words],
  GATEHOUSE_HELPER: ["helper", words],
  GATEHOUSE_SCAN_SECONDS: ["scanSeconds", number],
  GATEHOUSE_TRUSTED_KEYS: ["trustedKeys", words],
  GATEHOUSE_REQUIRE_SIGNATURE: ["requireSignature", flag],
  GATEHOUSE_IMAGE_ORIGINS: ["imageOrigins", list],
  GATEHOUSE_CACHE_MEBIBYTES: ["cacheMebibytes", number],
  GATEHOUSE_CDI_DIRECTORY: ["cdiDirectory", words],
  GATEHOUSE_QMP_DIRECTORY: ["qmpDirectory", words],
  GATEHOUSE_VIRSH: ["virsh", words],
  GATEHOUSE_LIBVIRT_URI: ["libvirtUri", words],
};

/**
 * Settings from file, environment and flags, the later ones winning. A missing file is no error
 * unless it was asked for by name. Throws INVALID_REQUEST with `field`.
 */
export async function readSettings(
  env: Environment,
  flags: Readonly<Partial<Record<"config" | "url" | "state-dir" | "socket", string>>>,
): Promise<Settings> {
  const named = flags.config ?? env["GATEHOUSE_CONFIG"];
  const fromFile = await readConfig(named ?? defaultConfigPath, named !== undefined);
  const fromEnv = Object.entries(variables).flatMap(([name, [field, read]]) => {
    const text = env[name];
    return text === undefined || text === "" ? [] : [[field, read(text)] as const];
  });
  const merged = {
    ...fromFile,
    ...Object.fromEntries(fromEnv),
    ...(flags.url === undefined ? {} : { url: flags.url }),
    ...(flags["state-dir"] === undefined ? {} : { stateDir: flags["state-dir"] }),
    ...(flags.socket === undefined ? {} : { socket: flags.socket }),
  };
  const parsed = settingsSchema.safeParse(merged);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const field = issue?.path.join(".") ?? "";
  throw new Fault("INVALID_REQUEST", `setting ${field}: ${issue?.message ?? "is not valid"}`, {
    field,
  });
}

async function readConfig(path: string, required: boolean): Promise<object> {
  try {
    const value: unknown = JSON.parse(await readFile(path, "utf8"));
    if (typeof value === "object" && value !== null) return value;
  } catch (cause) {
    if (!required && isKernelError(cause, "ENOENT")) return {};
    throw new Fault("INVALID_REQUEST", `${path} cannot be read as JSON`, {}, { cause });
  }
  throw new Fault("INVALID_REQUEST", `${path} does not hold a JSON object`);
}
