import { checkHistory, type Verdict } from "#domain/history/check";
import type { HistoryEvent, Invariant, Open, Violation } from "#domain/history/verdict";
import type { Command, Context, Input, Output } from "../command.ts";
import { Failure } from "../failure.ts";
import { renderFields } from "../fields.ts";
import { printable } from "../text.ts";
import { readHistory } from "./audit-input.ts";

/** `audit`: reads the event log and says whether the invariants were kept. */
export const auditCommands: readonly Command[] = [
  {
    words: ["audit"],
    summary: "Say whether the event log shows that every invariant was kept",
    detail:
      "Reads all events of every deployable and checks claims, handles, fences, image generations, scrubs, quotas and receipts. Ends with 5 when something was violated. Needs the role admin, unless it reads a file.",
    flags: [
      {
        name: "deployable",
        kind: "text",
        value: "ID",
        help: "Only the history of this deployable",
      },
      {
        name: "host",
        kind: "text",
        value: "HOST",
        help: "Only deployables of this host (id or name)",
      },
      {
        name: "since",
        kind: "text",
        value: "TIME",
        help: "Only later than this, as 2030-01-31T00:00:00Z",
      },
      {
        name: "file",
        kind: "text",
        value: "FILE",
        help: "Events that `events --json` printed, whole or line by line",
      },
    ],
    calls: ["listEvents", "listHosts", "listDeployables", "listReceipts"],
    run: audit,
  },
];

/** Prints the verdict; throws WRONG_STATE (exit 5) after it when an invariant was violated. */
async function audit(context: Context, input: Input): Promise<Output | undefined> {
  const { events, receipts } = await readHistory(context, input);
  const verdict = checkHistory(events, receipts);
  if (verdict.judged === 0) context.note("no event could be judged");
  const output = report(verdict);
  if (verdict.violations.length === 0) return output;
  context.emit(output);
  const kinds = [...new Set(verdict.violations.map(({ invariant }) => invariant))].join(", ");
  const message = `the history shows ${verdict.violations.length} violations (${kinds})`;
  throw new Failure(
    { code: "WRONG_STATE", message },
    { hint: "keep the event log and report this" },
  );
}

function report(verdict: Verdict): Output {
  const { violations, open, ...counts } = verdict;
  const view = { kept: violations.length === 0, ...counts, open, violations };
  const human = (columns: number | undefined) =>
    [
      ...violations.flatMap(violationLines),
      ...open.map(openLine),
      renderFields({ kept: view.kept, ...counts, open: open.length }, columns),
    ].join("\n");
  return { json: view, ids: violations.map(({ object }) => object), human };
}

const promises: Readonly<Record<Invariant, string>> = {
  I1: "one claim per handle",
  I2: "counters never fall",
  I3: "quota",
  I4: "granted only from offer",
  I5: "a bound claim is never lost",
  lifecycle: "legal moves only",
  scrub: "clean before the next",
  receipts: "an unbroken chain",
};

function violationLines({ invariant, object, text, events }: Violation): readonly string[] {
  return [
    `VIOLATED ${invariant} (${promises[invariant]}): ${printable(object)}: ${printable(text)}`,
    ...events.map((event) => `  ${lineOf(event)}`),
  ];
}

function openLine({ object, text, since }: Open): string {
  return `open: ${printable(object)}: ${printable(text)}, since ${timeOf(since)}`;
}

function lineOf(event: HistoryEvent): string {
  return [timeOf(event), event.kind, event.text, event.id].map(printable).join("  ");
}

const timeOf = ({ at }: HistoryEvent) => new Date(at).toISOString();
