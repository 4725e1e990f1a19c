import { S3Error } from "./errors.ts";
import type { Tags } from "./versions.ts";
import { element, xmlDocument } from "./xml.ts";
import { childText, malformed, parseXml } from "./xml-parser.ts";

// S3 user guide, "Categorizing your storage using tags".
const maxTags = 10;
const maxKeyLength = 128;
const maxValueLength = 256;
const allowed = /^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$/u;

/** Reads an x-amz-tagging header, which is a query string. Throws InvalidArgument, InvalidTag, BadRequest. */
export function parseTagHeader(header: string | undefined): Tags {
  if (header === undefined || header === "") return [];
  const pairs = header.split("&").map((pair) => {
    const [key = "", value = "", ...more] = pair.split("=").map(decodeForm);
    if (more.length > 0) throw badHeader();
    return [key, value] as const;
  });
  return checkTags(pairs);
}

/** Reads the Tagging document of PutObjectTagging. Throws MalformedXML, InvalidTag, BadRequest. */
export function parseTagDocument(text: string): Tags {
  const sets = parseXml(text, "Tagging").children.filter(({ name }) => name === "TagSet");
  const [set] = sets;
  if (set === undefined || sets.length > 1) throw malformed();
  const pairs = set.children.map((tag) => {
    const key = childText(tag, "Key");
    const value = childText(tag, "Value");
    if (tag.name !== "Tag" || key === undefined || value === undefined) throw malformed();
    return [key, value] as const;
  });
  return checkTags(pairs);
}

/** The document that GetObjectTagging answers. */
export function tagDocument(tags: Tags): string {
  const set = tags.map(([key, value]) =>
    element("Tag", [element("Key", key), element("Value", value)]),
  );
  return xmlDocument("Tagging", [element("TagSet", set)]);
}

function checkTags(tags: Tags): Tags {
  if (tags.length > maxTags) {
    throw new S3Error("BadRequest", `Object tags cannot be greater than ${maxTags}`);
  }
  if (new Set(tags.map(([key]) => key)).size < tags.length) {
    throw new S3Error("InvalidTag", "Cannot provide multiple Tags with the same key");
  }
  for (const [key, value] of tags) checkTag(key, value);
  return tags;
}

function checkTag(key: string, value: string): void {
  const keyFits = key.length > 0 && key.length <= maxKeyLength && allowed.test(key);
  if (!keyFits || key.toLowerCase().startsWith("aws:")) {
    throw new S3Error("InvalidTag", "The TagKey you have provided is invalid", {
      facts: { TagKey: key },
    });
  }
  if (value.length <= maxValueLength && allowed.test(value)) return;
  throw new S3Error("InvalidTag", "The TagValue you have provided is invalid", {
    facts: { TagKey: key, TagValue: value },
  });
}

function decodeForm(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    throw badHeader();
  }
}

function badHeader(): S3Error {
  const message =
    "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates.";
  return new S3Error("InvalidArgument", message, {
    facts: { ArgumentName: "x-amz-tagging" },
  });
}
