import { Fault } from "#domain/faults";
import type { CardOperationView, CardRequestBody } from "#protocol/http/cards";
import type { Argument, Command, Context, Flag, Input, Output } from "../command.ts";
import { Failure } from "../failure.ts";
import { objectOutput } from "../output.ts";
import { waitFor, waitTimeoutFlag } from "../wait.ts";

const device: Argument = { name: "DEVICE", help: "Device id" };
const waitFlags: readonly Flag[] = [
  { name: "no-wait", kind: "switch", help: "Do not wait for the end of the operation" },
  waitTimeoutFlag,
];
/** The cloud gives an operation up after 15 minutes. */
const operationSeconds = 960;
const showWords = ["devices", "operation"] as const;

/** Begins an operation and, unless told not to, sees it to its end. Throws the operation's error. */
async function operate(context: Context, input: Input, body: CardRequestBody): Promise<Output> {
  const params = { device: input.argument("DEVICE") };
  const begun = await context.api.call("operateDevice", { params, body });
  const again = `gatehouse ${showWords.join(" ")} ${begun.device} ${begun.id}`;
  if (input.on("no-wait")) {
    context.note(`see ${again}`);
    return objectOutput(begun, begun.id);
  }
  const ended = await waitForEnd(context, begun, {
    again,
    seconds: input.number("wait-timeout") ?? operationSeconds,
  });
  return objectOutput(ended, ended.id);
}

const percentOf = { pending: 0, running: 50, succeeded: 100, failed: 100 } as const;

async function waitForEnd(
  context: Context,
  begun: CardOperationView,
  wait: { readonly again: string; readonly seconds: number },
): Promise<CardOperationView> {
  const progress = context.progress(begun.kind);
  const show = ({ state }: CardOperationView) => progress.show(percentOf[state], state);
  try {
    show(begun);
    const params = { device: begun.device, operation: begun.id };
    const view = await waitFor(context, {
      ...wait,
      look: () => context.api.call("getDeviceOperation", { params }),
      done: ({ state }) => state === "succeeded" || state === "failed",
      show,
    });
    if (view.error !== undefined) throw new Failure(view.error);
    if (view.state === "failed") throw new Fault("CARD_DEGRADED", `operation ${view.id} failed`);
    show(view);
    return view;
  } finally {
    progress.end();
  }
}

const layouts = ["whole", "regions", "pf", "vfs"] as const;

/** The layout given; the parser has refused every other word. */
function layoutOf(input: Input): (typeof layouts)[number] | undefined {
  return layouts.find((one) => one === input.argument("LAYOUT"));
}

/** Operations on whole cards (docs/cards.md). */
export const cardCommands: readonly Command[] = [
  {
    words: ["devices", "layout"],
    summary: "Offer a card that nobody uses in another layout",
    detail:
      "`vfs` needs --vfs; with `regions` it says how many regions get a function, all without it.",
    arguments: [device, { name: "LAYOUT", help: "What to offer it as", choices: layouts }],
    flags: [
      { name: "vfs", kind: "number", value: "N", help: "How many virtual functions" },
      ...waitFlags,
    ],
    calls: ["operateDevice", "getDeviceOperation"],
    async run(context, input) {
      const [layout, vfs] = [layoutOf(input), input.number("vfs")];
      return await operate(context, input, {
        kind: "layout",
        ...(layout === undefined ? {} : { layout }),
        ...(vfs === undefined ? {} : { vfs }),
      });
    },
  },
  {
    words: ["devices", "rebind"],
    summary: "Take the driver off a card that nobody uses, and give it back",
    arguments: [device],
    flags: waitFlags,
    calls: ["operateDevice", "getDeviceOperation"],
    run: (context, input) => operate(context, input, { kind: "rebind" }),
  },
  {
    words: ["devices", "rescan"],
    summary: "Have the agent look for a card again",
    arguments: [device],
    flags: waitFlags,
    calls: ["operateDevice", "getDeviceOperation"],
    run: (context, input) => operate(context, input, { kind: "rescan" }),
  },
  {
    words: [...showWords],
    summary: "Show how an operation on a card stands",
    arguments: [device, { name: "OPERATION", help: "Operation id" }],
    calls: ["getDeviceOperation"],
    async run({ api }, input) {
      const params = {
        device: input.argument("DEVICE"),
        operation: input.argument("OPERATION"),
      };
      const view = await api.call("getDeviceOperation", { params });
      return objectOutput(view, view.id);
    },
  },
];
