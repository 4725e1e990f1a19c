import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { pages, pageText } from "./pages.ts";

/** A heading's anchor as GitHub makes it. */
function anchorOf(heading: string): string {
  return heading
    .trim()
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, "")
    .replaceAll(" ", "-");
}

function anchorsOf(text: string): ReadonlySet<string> {
  const prose = text.replace(/^```[\s\S]*?^```/gm, "");
  return new Set([...prose.matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) => anchorOf(heading)));
}

/** Links of a page that lead nowhere; links to other sites are not followed. */
function brokenLinks(page: string, text: string): readonly string[] {
  const prose = text.replace(/^```[\s\S]*?^```/gm, "");
  const targets = [...prose.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = ""]) => target);
  return targets
    .filter((target) => !/^[a-z]+:/.test(target))
    .filter((target) => {
      const [file = "", anchor] = target.split("#");
      const path = join(dirname(page), file);
      if (!existsSync(path)) return true;
      return anchor !== undefined && !anchorsOf(file === "" ? text : pageText(path)).has(anchor);
    });
}

test.each(pages)("every link of %s resolves", (page) => {
  expect(brokenLinks(page, pageText(page))).toEqual([]);
});

test("a link to a missing file or heading is found", () => {
  const text = "# One\n[a](#one) [b](#two) [c](../README.md) [d](gone.md) [e](https://x.example)";
  expect(brokenLinks("docs/x.md", text)).toEqual(["#two", "gone.md"]);
});

test("every page of docs/ can be reached from the README", () => {
  const linked = pageText("README.md");
  const lonely = pages.filter((page) => page.startsWith("docs/") && !linked.includes(`(${page})`));
  expect(lonely).toEqual([]);
});
