import { Fault } from "#domain/faults";
import type { OperationView, ProgramRequest } from "#protocol/http/deployables";
import type { Command, Context, Flag, Input, Output } from "../command.ts";
import { Failure } from "../failure.ts";
import { objectOutput } from "../output.ts";
import { waitFor, waitTimeoutFlag } from "../wait.ts";

/** Flags of both program commands. */
export const programFlags: readonly Flag[] = [
  { name: "image", kind: "text", value: "ID", help: "Image to load", required: true },
  { name: "force", kind: "switch", help: "Program even what is loaded already" },
  { name: "replug", kind: "switch", help: "Unplug a running guest, program, plug it again" },
  { name: "wait", kind: "switch", help: "Wait for the end of the operation" },
  waitTimeoutFlag,
];

/** Starts a program operation with `start` and, with `--wait`, sees it to its end. */
export async function runProgram(
  context: Context,
  input: Input,
  start: (body: ProgramRequest) => Promise<OperationView>,
): Promise<Output> {
  const started = await start({
    image: input.text("image") ?? "",
    ...(input.on("force") ? { force: true } : {}),
    ...(input.on("replug") ? { replug: true } : {}),
  });
  if (!input.on("wait")) {
    context.note(`see gatehouse operations show ${started.id}`);
    return objectOutput(started, started.id);
  }
  const ended = await waitForOperation(context, started, input.number("wait-timeout"));
  return objectOutput(ended, ended.id);
}

/** Waits with a bar until an operation ended; throws its error, or CONFLICT when it was superseded. */
async function waitForOperation(
  context: Context,
  started: OperationView,
  seconds: number | undefined,
): Promise<OperationView> {
  const progress = context.progress(started.kind);
  try {
    progress.show(started.percent, started.phase);
    const view = await waitFor(context, {
      look: () => context.api.call("getOperation", { params: { operation: started.id } }),
      done: ({ state }) => state !== "running",
      show: ({ percent, phase }) => progress.show(percent, phase),
      again: `gatehouse operations show ${started.id}`,
      seconds,
    });
    if (view.state === "succeeded") {
      progress.show(100, view.phase);
      return view;
    }
    if (view.error !== undefined) throw new Failure(view.error);
    const code = view.state === "superseded" ? "CONFLICT" : "PROGRAM_FAILED";
    throw new Fault(code, `The operation ${view.id} ${view.state} in phase ${view.phase}`);
  } finally {
    progress.end();
  }
}

/** `program`: load another image into what a claim holds. */
export const programCommands: readonly Command[] = [
  {
    words: ["program"],
    summary: "Program the claimed deployable with another image",
    arguments: [{ name: "CLAIM", help: "Claim id" }],
    flags: programFlags,
    calls: ["programClaim", "getOperation"],
    run: (context, input) =>
      runProgram(context, input, (body) =>
        context.api.call("programClaim", { params: { claim: input.argument("CLAIM") }, body }),
      ),
  },
];
