import { readFileSync } from "node:fs";

/** One request and Cyborg's answer, as they were recorded. */
export interface Recorded {
  /** Number in the file, from 1. */
  readonly number: number;
  readonly line: string;
  readonly method: string;
  readonly path: string;
  readonly roles: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | undefined;
  readonly status: number;
  readonly answerHeaders: Readonly<Record<string, string>>;
  readonly answer: string;
}

/** Every pair of the file, in order. */
export function recordings(path: string): readonly Recorded[] {
  const text = readFileSync(path, "utf8");
  const [pairs = ""] = text.split("\n# Event POST");
  return pairs
    .split(/^\$ /m)
    .slice(1)
    .map((chunk, index) => recorded(chunk, index + 1));
}

function recorded(chunk: string, number: number): Recorded {
  const [line = "", status = "", ...rest] = chunk.split("\n");
  const end = rest.indexOf("");
  return {
    number,
    line,
    ...requestOf(line),
    status: Number(status.split(" ")[1]),
    answerHeaders: headersOf(rest.slice(0, end)),
    answer: rest.slice(end).join("\n").trim(),
  };
}

function requestOf(line: string): Pick<Recorded, "method" | "path" | "roles" | "headers" | "body"> {
  const [head = "", body] = line.split(/ {2}-d /);
  const [, method = "GET"] = /-X (\w+)/.exec(head) ?? [];
  const [, path = ""] = /(\/accelerator\S*)/.exec(head) ?? [];
  const [, roles = ""] = /\s\[([\w,]+)\]/.exec(head) ?? [];
  const headers = [...head.matchAll(/-H (\S+): (.+?)(?= -H |$)/g)].map(
    ([, name = "", value = ""]) => [name.toLowerCase(), value.trim()] as const,
  );
  return { method, path, roles, headers: Object.fromEntries(headers), body };
}

function headersOf(lines: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(
    lines.map((line) => {
      const [name = "", ...value] = line.split(": ");
      return [name.toLowerCase(), value.join(": ")] as const;
    }),
  );
}
