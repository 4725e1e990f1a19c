import type { Deployable } from "#domain/deployable";
import { type Applied, applyReport, type Report } from "#domain/report";
import { report } from "./builders.ts";

export const error = { code: "PROGRAM_FAILED", message: "the card said no" };

/** What the next report of this deployable makes of it, at time 99. */
export function apply(one: Deployable, facts: Partial<Report> = {}): Applied {
  return applyReport(one, report(one, facts), 99);
}
