import { S3Error } from "./errors.ts";
import type { XmlElement } from "./xml.ts";

/** S3's requests nest three deep (Delete, Object, Key); more is hostile. */
const maxDepth = 6;

const tag =
  /<(\/?)([A-Za-z][A-Za-z0-9]*)((?:\s+[A-Za-z:]+\s*=\s*(?:"[^"<&]*"|'[^'<&]*'))*)\s*(\/?)>/y;
const declaration = /^\uFEFF?<\?xml\s[^?<>]*\?>/;
const entity = /&(?:#x([0-9A-Fa-f]{1,6})|#([0-9]{1,7})|(amp|lt|gt|quot|apos));/g;
const named: Readonly<Record<string, string>> = {
  amp: "&",
  lt: "<",
  gt: ">",
  quot: '"',
  apos: "'",
};

interface OpenElement {
  readonly name: string;
  text: string;
  readonly children: XmlElement[];
}

/**
 * Reads the small XML documents of S3 requests: elements and text, nothing else. Document types,
 * processing instructions, comments and CDATA are refused because no S3 client sends them and
 * attacks on XML parsers do. Throws S3Error MalformedXML.
 */
export function parseXml(source: string, root: string): XmlElement {
  const text = source.replace(declaration, "");
  const top: OpenElement = { name: "", text: "", children: [] };
  const open: OpenElement[] = [top];
  let position = 0;
  while (position < text.length) position = step(text, position, open);
  const document = top.children[0];
  const alone = top.children.length === 1 && top.text.trim() === "" && open.length === 1;
  if (document === undefined || !alone || document.name !== root) throw malformed();
  return document;
}

/** The text of the only child with that name; undefined when there is none, MalformedXML when several. */
export function childText(parent: XmlElement, name: string): string | undefined {
  const found = parent.children.filter((child) => child.name === name);
  if (found.length > 1) throw malformed();
  return found[0]?.text;
}

/** The error for a document that does not fit S3's schema. */
export function malformed(): S3Error {
  return new S3Error(
    "MalformedXML",
    "The XML you provided was not well-formed or did not validate against our published schema.",
  );
}

function step(text: string, position: number, open: OpenElement[]): number {
  const here = open.at(-1);
  if (here === undefined) throw malformed();
  if (text[position] !== "<") {
    const end = text.indexOf("<", position);
    const stop = end === -1 ? text.length : end;
    here.text += decodeText(text.slice(position, stop));
    return stop;
  }
  tag.lastIndex = position;
  const match = tag.exec(text);
  if (match === null) throw malformed();
  const [, closing, name = "", , empty] = match;
  if (closing === "/") close(open, name);
  else start(open, name, empty === "/");
  return tag.lastIndex;
}

function start(open: OpenElement[], name: string, empty: boolean): void {
  if (open.length > maxDepth) throw malformed();
  open.push({ name, text: "", children: [] });
  if (empty) close(open, name);
}

function close(open: OpenElement[], name: string): void {
  const ended = open.pop();
  const parent = open.at(-1);
  if (ended === undefined || parent === undefined || ended.name !== name) throw malformed();
  if (ended.children.length > 0 && ended.text.trim() !== "") throw malformed();
  parent.children.push(ended);
}

function decodeText(raw: string): string {
  const decoded = raw.replace(entity, (_, hex?: string, decimal?: string, name?: string) => {
    if (name !== undefined) return named[name] ?? "";
    const point = hex === undefined ? Number(decimal) : Number.parseInt(hex, 16);
    if (point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)) throw malformed();
    return String.fromCodePoint(point);
  });
  if (raw.replace(entity, "").includes("&")) throw malformed();
  return decoded;
}
