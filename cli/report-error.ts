import { Fault, isFaultCode } from "#domain/faults";
import { findExplanation, renderExplanation } from "./explanation.ts";
import { Failure, Interrupted } from "./failure.ts";
import { hints, unreachableHint } from "./hints.ts";
import type { Io } from "./io.ts";
import { printable } from "./text.ts";

/**
 * What people read on stderr: `error CODE: detail (field: expected …)`, then facts that help, then
 * the next step. GATEHOUSE_DEBUG adds the stack of an unexpected error.
 */
export function describeError(error: unknown, io: Pick<Io, "env" | "stderr">): string {
  if (error instanceof Interrupted) {
    return error.again === "" ? "interrupted" : `interrupted: ${printable(error.again)}`;
  }
  if (error instanceof Fault) return describe(error.code, error.message, error.detail, io);
  if (error instanceof Failure) return describe(error.code, error.message, error.facts, io);
  const message = error instanceof Error ? error.message : String(error);
  const debug = (io.env["GATEHOUSE_DEBUG"] ?? "") !== "" && error instanceof Error;
  return debug ? `error: ${error.stack ?? message}` : `error: ${printable(message)}`;
}

type Facts = Readonly<Record<string, unknown>>;

function describe(
  code: string,
  message: string,
  facts: Facts,
  { stderr }: Pick<Io, "stderr">,
): string {
  const explained = code === "NO_CAPACITY" ? findExplanation(facts) : undefined;
  const width = stderr.isTTY ? stderr.columns : undefined;
  const lines = [
    `error ${printable(code)}: ${printable(message)}${expectation(facts)}`,
    ...(explained === undefined ? [] : [renderExplanation(explained, width)]),
    ...steps(facts["steps"]),
  ];
  const hint = hintOf(code, facts);
  return [...lines, ...(hint === undefined ? [] : [`hint: ${printable(hint)}`])].join("\n");
}

function expectation({ field, expected }: Facts): string {
  if (typeof field !== "string") return "";
  const wanted = typeof expected === "string" ? `: expected ${expected}` : "";
  return ` (${printable(field + wanted)})`;
}

function steps(value: unknown): string[] {
  if (!Array.isArray(value)) return [];
  return value.map((step, index) => `  ${index + 1}. ${printable(String(step))}`);
}

function hintOf(code: string, facts: Facts): string | undefined {
  if (typeof facts["hint"] === "string") return facts["hint"];
  if (facts["unreachable"] === true) return unreachableHint;
  return isFaultCode(code) ? hints[code] : undefined;
}
