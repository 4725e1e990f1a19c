import { Fault } from "./faults.ts";
import { isTraitName } from "./traits.ts";

/** Named request groups, in Cyborg's form: `resources:CLASS`, `trait:NAME`, `accel:KEY` → text. */
export interface Profile {
  readonly id: string;
  readonly name: string;
  readonly description: string;
  readonly groups: readonly ProfileGroup[];
  readonly createdAt: number;
}

export type ProfileGroup = { readonly [key: string]: string };

/** What one group asks for. */
export interface GroupRequest {
  readonly resources: readonly { readonly resourceClass: string; readonly count: number }[];
  readonly required: readonly string[];
  readonly forbidden: readonly string[];
  readonly image?: string;
  readonly functionId?: string;
}

/** Reads a group; INVALID_REQUEST names the key, such as `groups.0.resources:FPGA`. */
export function readGroup(group: ProfileGroup, index: number): GroupRequest {
  const entries = Object.entries(group);
  const resources = entries.flatMap(([key, value]) => resourceOf(key, value, index));
  if (resources.length === 0) {
    throw invalid(`groups.${index}`, "at least one resources:<CLASS> key");
  }
  const unknown = entries.find(([key]) => !/^(?:resources|trait|accel):/.test(key));
  if (unknown !== undefined) {
    throw invalid(
      `groups.${index}.${unknown[0]}`,
      "resources:<CLASS>, trait:<NAME> or accel:<KEY>",
    );
  }
  const image = group["accel:bitstream_id"];
  const functionId = group["accel:function_id"];
  if (image !== undefined && functionId !== undefined) {
    throw invalid(`groups.${index}`, "accel:bitstream_id or accel:function_id, not both");
  }
  return {
    resources,
    required: traitsOf(entries, "required", index),
    forbidden: traitsOf(entries, "forbidden", index),
    ...(image === undefined ? {} : { image }),
    ...(functionId === undefined ? {} : { functionId }),
  };
}

function resourceOf(key: string, value: string, index: number): GroupRequest["resources"] {
  if (!key.startsWith("resources:")) return [];
  const resourceClass = key.slice("resources:".length);
  if (!isTraitName(resourceClass)) throw invalid(`groups.${index}.${key}`, "a resource class name");
  if (!/^[1-9]\d{0,3}$/.test(value)) {
    throw invalid(`groups.${index}.${key}`, "a whole number from 1");
  }
  return [{ resourceClass, count: Number(value) }];
}

function traitsOf(
  entries: readonly (readonly [string, string])[],
  wanted: "required" | "forbidden",
  index: number,
): readonly string[] {
  return entries.flatMap(([key, value]) => {
    if (!key.startsWith("trait:")) return [];
    const trait = key.slice("trait:".length);
    if (!isTraitName(trait)) throw invalid(`groups.${index}.${key}`, "a trait name");
    if (value !== "required" && value !== "forbidden") {
      throw invalid(`groups.${index}.${key}`, "required or forbidden");
    }
    return value === wanted ? [trait] : [];
  });
}

function invalid(field: string, expected: string): Fault {
  return new Fault("INVALID_REQUEST", `${field}: expected ${expected}`, { field, expected });
}
