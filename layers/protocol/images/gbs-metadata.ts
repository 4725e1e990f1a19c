import * as z from "zod/mini";
import { headerInvalid } from "./faults.ts";
import { parseStrictJson } from "./strict-json.ts";
import { parseUuid } from "./uuid.ts";

/** What OPAE demands as `afu-image.magic-no`: 0x1d1f8680 (host.md §2.6). */
export const gbsMagicNumber = 488_605_312;

/** Real metadata nests 4 deep (root, afu-image, clusters, cluster); 8 leaves room for newer tools. */
const maxDepth = 8;

/** What a GBS says of itself in its JSON. Ids are lower-case with dashes. Clocks are MHz or "auto…". */
export interface GbsMetadata {
  readonly interfaceId: string;
  readonly functionId: string;
  readonly name?: string;
  /** Watts, as the designer declared them. */
  readonly power?: number;
  readonly clockLow?: number | string;
  readonly clockHigh?: number | string;
}

const uuid = z.pipe(
  z
    .string("a uuid")
    .check(
      z.refine((text) => parseUuid(text) !== undefined, "a uuid with dashes that is not all zero"),
    ),
  z.transform((text) => text.toLowerCase()),
);
const count = z.number("a number").check(z.gte(0, "0 or more"));
const clockRule = 'MHz or "auto"';
const clock = z.union(
  [count, z.string().check(z.regex(/^auto[\w.-]{0,32}$/, clockRule))],
  clockRule,
);
const label = z.string("a text").check(z.regex(/^\P{C}{0,128}$/u, "a short text"));

const cluster = z.object(
  { name: z.optional(label), "accelerator-type-uuid": uuid },
  "an accelerator cluster",
);

const schema = z.object(
  {
    version: z.literal([1, 640, 650], "1, or its aliases 640 and 650"),
    "platform-name": z.optional(label),
    "afu-image": z.object(
      {
        "magic-no": z.literal(gbsMagicNumber, String(gbsMagicNumber)),
        "interface-uuid": uuid,
        power: z.optional(count),
        "clock-frequency-low": z.optional(clock),
        "clock-frequency-high": z.optional(clock),
        "accelerator-clusters": z.tuple([cluster], "a list of exactly 1 cluster"),
      },
      "an object",
    ),
  },
  "an object",
);

/**
 * Reads the JSON part of a GBS, `bytes` being exactly that part (the caller holds it below 4 KiB).
 * Unknown members are ignored: PACSign and newer packagers add their own.
 * Throws IMAGE_HEADER_INVALID with the dotted path of the offending member.
 */
export function parseGbsMetadata(bytes: Uint8Array): GbsMetadata {
  const parsed = schema.safeParse(readJson(bytes));
  if (!parsed.success) throw refusal(parsed.error.issues[0]);
  const image = parsed.data["afu-image"];
  const [cluster] = image["accelerator-clusters"];
  const low = image["clock-frequency-low"];
  const high = image["clock-frequency-high"];
  return {
    interfaceId: image["interface-uuid"],
    functionId: cluster["accelerator-type-uuid"],
    ...(cluster.name !== undefined && { name: cluster.name }),
    ...(image.power !== undefined && { power: image.power }),
    ...(low !== undefined && { clockLow: low }),
    ...(high !== undefined && { clockHigh: high }),
  };
}

function readJson(bytes: Uint8Array): unknown {
  try {
    // A byte order mark stays in the text, where JSON.parse refuses it.
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    return parseStrictJson(text, maxDepth);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw headerInvalid("metadata", `strict UTF-8 JSON (${reason})`);
  }
}

function refusal(issue: z.core.$ZodIssue | undefined): Error {
  const path = issue?.path.join(".");
  return headerInvalid(path ? `metadata.${path}` : "metadata", issue?.message ?? "valid");
}
