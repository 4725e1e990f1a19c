import * as fc from "fast-check";
import { expect, test } from "vitest";
import { element, errorDocument, xmlDocument } from "../../../localstack/bucket/xml.ts";
import { childText, parseXml } from "../../../localstack/bucket/xml-parser.ts";

test("what is written is read back the same, whatever the text", () => {
  const text = fc.string({ unit: "grapheme" }).filter((value) => value.isWellFormed());
  fc.assert(
    fc.property(text, text, (key, value) => {
      const written = xmlDocument("Tag", [element("Key", key), element("Value", value)]);
      const tag = parseXml(written, "Tag");
      expect([childText(tag, "Key"), childText(tag, "Value")]).toEqual([key, value]);
    }),
  );
});

test("numbers, truth values, nested and absent elements are written plainly", () => {
  const written = element("A", [element("N", 1), element("B", false), undefined, element("E", [])]);
  expect(written).toBe("<A><N>1</N><B>false</B><E></E></A>");
  expect(errorDocument({ Code: "X", Message: "<&>" })).toBe(
    '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>X</Code><Message>&lt;&amp;&gt;</Message></Error>',
  );
});

test("a declaration, a namespace, white space and references are understood", () => {
  const source = `<?xml version='1.0'?>\n<A xmlns="urn:x">\n <B>&#65;&#x42;&amp;</B><C/>\n</A>\n`;
  const root = parseXml(source, "A");
  expect(childText(root, "B")).toBe("AB&");
  expect(childText(root, "C")).toBe("");
  expect(childText(root, "D")).toBeUndefined();
});

test.each([
  ["an empty text", ""],
  ["another root", "<B></B>"],
  ["two roots", "<A></A><A></A>"],
  ["text beside the root", "<A></A>x"],
  ["an open element", "<A><B></A>"],
  ["an element that was never opened", "</A>"],
  ["an unfinished tag", "<A"],
  ["mixed content", "<A>x<B></B></A>"],
  ["a document type", '<!DOCTYPE A [<!ENTITY x SYSTEM "file:///etc/passwd">]><A>&x;</A>'],
  ["an unknown entity", "<A>&x;</A>"],
  ["a bare ampersand", "<A>a & b</A>"],
  ["a comment", "<A><!-- x --></A>"],
  ["a CDATA section", "<A><![CDATA[x]]></A>"],
  ["a processing instruction", "<A><?php ?></A>"],
  ["a surrogate", "<A>&#xD800;</A>"],
  ["a character past Unicode", "<A>&#x110000;</A>"],
  ["deep nesting", `${"<A>".repeat(50)}${"</A>".repeat(50)}`],
])("%s is refused", (_, source) => {
  expect(() => parseXml(source, "A")).toThrow("not well-formed");
});

test("a child that occurs twice is refused rather than guessed", () => {
  const root = parseXml("<A><B>1</B><B>2</B></A>", "A");
  expect(() => childText(root, "B")).toThrow("not well-formed");
});

test("no text makes the parser do anything but answer or refuse", () => {
  const pieces = fc.constantFrom("<A>", "</A>", "<", ">", "&", "&amp;", "/", "x", "<B/>", ' a="');
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 30 }), (parts) => {
      let refused = "";
      try {
        parseXml(parts.join(""), "A");
      } catch (error) {
        refused = (error as Error).name;
      }
      expect(["", "S3Error"]).toContain(refused);
    }),
  );
});
