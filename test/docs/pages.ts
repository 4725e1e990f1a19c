import { globSync, readFileSync } from "node:fs";

/** Every page that people read, as paths from the repository's root. */
export const pages: readonly string[] = [
  "README.md",
  "CHANGELOG.md",
  "layers/README.md",
  "localstack/README.md",
  "localstack/gateway/README.md",
  ...globSync("docs/*.md").sort(),
];

/** The text of a page. */
export function pageText(path: string): string {
  return readFileSync(path, "utf8");
}

/** Cells of the table rows of a page, without padding, heads and rulers included. */
export function tableRows(text: string): readonly (readonly string[])[] {
  return text
    .split("\n")
    .filter((line) => line.startsWith("| "))
    .map((line) =>
      line
        .slice(1, -1)
        .split("|")
        .map((cell) => cell.trim()),
    );
}

/** The texts in backticks of a piece of Markdown, code blocks left out. */
export function codeSpans(text: string): readonly string[] {
  const prose = text.replace(/^```[\s\S]*?^```/gm, "");
  return [...prose.matchAll(/`([^`\n]+)`/g)].map(([, code = ""]) => code);
}
