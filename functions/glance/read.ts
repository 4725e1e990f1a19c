import { createHash } from "node:crypto";
import type { GlanceFacts } from "#domain/glance";
import type { Visibility } from "#domain/image";
import type { GlanceImage } from "#openstack/glance";
import { parseManifest } from "#protocol/images/manifest";
import { canonicalVendor } from "#protocol/images/metadata";
import { parseLooseUuid } from "#protocol/images/uuid";
import { isUuid } from "#protocol/uuid";

/** The tag that makes an image of Glance an FPGA image. */
export const fpgaTag = "FPGA";

/**
 * What a Glance visibility is here. `shared` is what Glance makes of an image when nothing is said:
 * it is its owner's and its members', whom we do not know, so it is nobody else's here.
 */
const visibilities: Readonly<Record<string, Visibility>> = {
  public: "public",
  community: "public",
};

/**
 * What Glance says of an image. Properties have their names of today (`accel:function_id`), those of
 * Cyborg's first specification (`function_uuid`, `region_uuid`, `shell_id`, `bs-name`: cyborg.md §6),
 * or those of the tags of an upload. Undefined for an id that is no uuid.
 */
export function factsOf(image: GlanceImage): GlanceFacts | undefined {
  if (!isUuid(image.id)) return undefined;
  const { properties } = image;
  const vendor = word(properties["vendor"]);
  const facts: Omit<GlanceFacts, "digest"> = {
    id: image.id,
    project: projectOf(image),
    name: nameOf(image),
    visibility: visibilities[image.visibility] ?? "private",
    vendor: canonicalVendor(vendor) ?? vendor,
    type: word(properties["type"] ?? properties["function_name"]),
    said: saidOf(properties),
    manifest: manifestOf(properties["gatehouse_manifest"]),
    withheld: withheldBy(image),
    size: image.size,
    md5: image.checksum,
    hash: image.hash,
  };
  const digest = createHash("sha256").update(JSON.stringify(facts)).digest("hex").slice(0, 32);
  return { ...facts, digest };
}

/** True for an image whose bytes are complete there and may be fetched. */
export function isOffered(facts: GlanceFacts): boolean {
  return facts.withheld === undefined;
}

function withheldBy({ status, tags }: GlanceImage): string | undefined {
  if (status === "deactivated") return "deactivated in Glance";
  if (status !== "active") return `${status} in Glance`;
  return tags.includes(fpgaTag) ? undefined : `without the tag ${fpgaTag} in Glance`;
}

/** An owner is a project's id; an image may have none. */
function projectOf({ owner }: GlanceImage): string {
  return owner !== undefined && /^[A-Za-z0-9][\w.-]{0,63}$/.test(owner) ? owner : "glance";
}

function nameOf({ id, name, properties }: GlanceImage): string {
  const said = properties["bs-name"] ?? name;
  // As the names of objects: what could steer a terminal has no place in a label.
  const plain = said.replaceAll(/\p{C}/gu, "").trim().slice(0, 256);
  return plain === "" ? id : plain;
}

function word(said: string | undefined): string {
  return said !== undefined && /^[\w.-]{1,64}$/.test(said) ? said : "";
}

function saidOf(properties: GlanceImage["properties"]): GlanceFacts["said"] {
  const shell = properties["shell_id"];
  return {
    format: properties["format"],
    functionId: firstOf(properties, ["accel:function_id", "function_uuid", "function-id"]),
    interfaceId:
      firstOf(properties, ["accel:region_id", "region_uuid", "interface-id"]) ??
      // A shell is named in many ways; only a uuid can be compared.
      (shell === undefined ? undefined : parseLooseUuid(shell)),
  };
}

function firstOf(
  properties: GlanceImage["properties"],
  names: readonly string[],
): string | undefined {
  const name = names.find((one) => properties[one] !== undefined && properties[one] !== "");
  return name === undefined ? undefined : properties[name];
}

/** A text that is no manifest vouches for nothing: the policy decides as if it were not there. */
function manifestOf(text: string | undefined): GlanceFacts["manifest"] {
  if (text === undefined) return undefined;
  try {
    return parseManifest(text);
  } catch {
    return undefined;
  }
}
