import { type ProfileGroup, readGroup } from "#domain/profile";
import { isTraitName } from "#domain/traits";
import { refusal } from "./errors.ts";
import { asUuid, uuidMember } from "./uuids.ts";

/** A device profile as it is asked for, checked (cyborg.md §1.2). */
export interface WantedProfile {
  readonly name: string;
  readonly description: string;
  readonly groups: readonly ProfileGroup[];
  /** The caller's own choice. */
  readonly id: string | undefined;
}

const longestName = 255;
const longestText = 1024;
const mostGroups = 16;
const mostKeys = 64;
const plainClasses = ["FPGA", "GPU", "VGPU", "PGPU", "CUSTOM_QAT", "CUSTOM_NIC", "CUSTOM_SSD"];

/**
 * Reads the body of a create: a list of exactly one profile. Refused in Cyborg's order and words; the
 * statuses are those of cyborg.md §10.1, where 500 stays what its test suite wants.
 */
export function wantedProfile(body: unknown): WantedProfile {
  if (!Array.isArray(body) || body.length !== 1) {
    throw refusal(400, "Only one device profile allowed per POST request for now.");
  }
  const [given] = body as unknown[];
  if (!isRecord(given)) throw refusal(400, "A device profile must be an object");
  const { uuid, description } = given;
  return {
    name: nameOf(given["name"]),
    groups: groupsOf(given["groups"]),
    id: uuid === undefined || uuid === null ? undefined : uuidMember(uuid),
    description: descriptionOf(description),
  };
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function nameOf(name: unknown): string {
  if (name === undefined || name === null || name === "") {
    throw refusal(500, "DeviceProfile name needed.");
  }
  if (typeof name !== "string" || !/^[a-zA-Z0-9_-]+$/.test(name)) {
    throw refusal(400, "Device profile name must be of the form ^[a-zA-Z0-9-_]+$");
  }
  if (name.length > longestName) {
    throw refusal(500, `Device profile name is longer than ${longestName} characters`);
  }
  return name;
}

function descriptionOf(description: unknown): string {
  if (description === undefined || description === null) return "";
  if (typeof description === "string" && description.length <= longestText) return description;
  throw refusal(
    400,
    `Device profile description must be text of at most ${longestText} characters`,
  );
}

function groupsOf(groups: unknown): readonly ProfileGroup[] {
  if (groups === undefined || groups === null || (Array.isArray(groups) && groups.length === 0)) {
    throw refusal(400, "DeviceProfile needs groups field.");
  }
  if (!Array.isArray(groups) || groups.length > mostGroups || !groups.every(isRecord)) {
    throw refusal(400, `Device profile groups must be a list of at most ${mostGroups} objects`);
  }
  return groups.map((group, index) => groupOf(group, index));
}

function groupOf(given: Readonly<Record<string, unknown>>, index: number): ProfileGroup {
  const entries = Object.entries(given);
  if (entries.length > mostKeys)
    throw refusal(400, `Group ${index} has more than ${mostKeys} keys`);
  const group: ProfileGroup = Object.fromEntries(
    entries.map(([key, value]) => checkedEntry(key, textOf(key, value))),
  );
  checkImages(group);
  // What Cyborg takes and Nova refuses later: no resource at all.
  readGroup(group, index);
  return group;
}

/** Values are kept as text: 3 → "3". */
function textOf(key: string, value: unknown): string {
  const isPlain = typeof value === "string" || typeof value === "number";
  if (isPlain && key.length <= 300 && String(value).length <= 300) return String(value);
  throw refusal(400, `Device profile group value of ${key} must be text`);
}

function checkedEntry(key: string, value: string): readonly [string, string] {
  const [, kind, rest = ""] = /^(resources|trait|accel):([\s\S]*)$/.exec(key) ?? [];
  if (kind === "trait") return [`trait:${checkedTrait(rest.trim(), value.trim())}`, value.trim()];
  if (kind === "resources") {
    checkResource(rest, value.trim());
    return [key, value.trim()];
  }
  if (kind === "accel") return [key, value];
  throw refusal(400, "Device profile group keys must be of the form ^(resources:|trait:|accel:)");
}

function checkedTrait(trait: string, value: string): string {
  if (!trait.startsWith("CUSTOM_") || !isTraitName(trait)) {
    throw refusal(400, `Unsupported trait name format ${trait}, should start with CUSTOM_`);
  }
  if (value !== "required" && value !== "forbidden") {
    const known = "['required', 'forbidden']";
    throw refusal(400, `Unsupported trait value ${value}, the value must be one among ${known}`);
  }
  return trait;
}

function checkResource(resourceClass: string, amount: string): void {
  const isCustom = resourceClass.startsWith("CUSTOM_") && isTraitName(resourceClass);
  if (!plainClasses.includes(resourceClass) && !isCustom) {
    throw refusal(400, `Unsupported resource class ${resourceClass}`);
  }
  if (!/^[1-9]\d{0,3}$/.test(amount)) {
    throw refusal(400, `Resources number ${amount} is invalid`);
  }
}

function checkImages(group: ProfileGroup): void {
  const [image, functionId] = [group["accel:bitstream_id"], group["accel:function_id"]];
  if (image !== undefined && functionId !== undefined) {
    throw refusal(400, "A group may have accel:bitstream_id or accel:function_id, not both");
  }
  for (const [key, value] of Object.entries(group)) {
    const isChecked = key === "accel:bitstream_id" || key === "accel:function_id";
    if (isChecked && asUuid(value) === undefined) {
      throw refusal(400, `Invalid value for ${key}: Expected a uuid but received ${value}.`);
    }
  }
}
