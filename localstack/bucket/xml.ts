/** One element: its text, or its child elements in order. */
export interface XmlElement {
  readonly name: string;
  readonly text: string;
  readonly children: readonly XmlElement[];
}

/** What an element holds: text, or the elements that `element` made. Undefined elements are left out. */
type XmlContent = string | number | boolean | readonly (string | undefined)[];

const namespace = "http://s3.amazonaws.com/doc/2006-03-01/";

// Control characters may be part of a key; S3 writes them as references although XML 1.0 has none.
// oxlint-disable-next-line no-control-regex
const unsafe = /[&<>"'\u0000-\u001f\u007f]/g;

/** Text made safe for element content and attribute values. */
function escapeXml(text: string): string {
  return text.replace(unsafe, (character) => {
    const named: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
    return named[character] ?? `&#x${character.charCodeAt(0).toString(16).toUpperCase()};`;
  });
}

/** One element as text. An array is taken as elements already written, anything else is escaped. */
export function element(name: string, content: XmlContent): string {
  const inner =
    typeof content === "object"
      ? content.filter((part) => part !== undefined).join("")
      : escapeXml(String(content));
  return `<${name}>${inner}</${name}>`;
}

/** A whole document whose root has S3's namespace. */
export function xmlDocument(root: string, content: readonly (string | undefined)[]): string {
  const inner = element(root, content).slice(root.length + 2);
  return `<?xml version="1.0" encoding="UTF-8"?>\n<${root} xmlns="${namespace}">${inner}`;
}

/** An error document, which S3 writes without a namespace. */
export function errorDocument(fields: Readonly<Record<string, string>>): string {
  const inner = Object.entries(fields).map(([name, value]) => element(name, value));
  return `<?xml version="1.0" encoding="UTF-8"?>\n${element("Error", inner)}`;
}
