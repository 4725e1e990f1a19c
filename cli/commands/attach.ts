import { type AttachRequest, attachRequest, type ClaimView } from "#protocol/http/claims";
import type { Command, Context, Input, Output } from "../command.ts";
import { Failure } from "../failure.ts";
import { objectOutput, textOutput } from "../output.ts";
import { present, printableLines } from "../text.ts";
import { waitFor, waitTimeoutFlag } from "../wait.ts";

const claim = { name: "CLAIM", help: "Claim id" };
const hypervisors: readonly AttachRequest["hypervisor"][] = attachRequest.shape.hypervisor.options;

/** `attach` and `claims attach`: plug the handle, print what the guest's owner needs. */
export function attachCommand(words: readonly string[]): Command {
  return {
    words,
    summary: "Plug the claim's handle for a guest and print what the guest needs",
    arguments: [claim],
    flags: [
      {
        name: "hypervisor",
        kind: "text",
        value: "KIND",
        choices: hypervisors,
        help: "For whom",
        required: true,
      },
      { name: "domain", kind: "text", value: "NAME", help: "Plug into this running domain" },
      { name: "bus", kind: "text", value: "PORT", help: "Take this empty root port (qemu)" },
      { name: "no-wait", kind: "switch", help: "Return at once" },
      waitTimeoutFlag,
    ],
    calls: ["attachClaim", "getClaim"],
    run: attach,
  };
}

/** `claims detach`. */
export const detachCommand: Command = {
  words: ["claims", "detach"],
  summary: "Unplug the handle and keep the claim",
  arguments: [claim],
  flags: [{ name: "wait", kind: "switch", help: "Wait until it is unplugged" }, waitTimeoutFlag],
  calls: ["detachClaim", "getClaim"],
  async run(context, input) {
    const params = { claim: input.argument("CLAIM") };
    const asked = await context.api.call("detachClaim", { params });
    const view = input.on("wait")
      ? await waitForPlug(context, asked.id, false, input.number("wait-timeout"))
      : asked;
    return objectOutput(view, view.id);
  },
};

async function attach(context: Context, input: Input): Promise<Output> {
  const where = { domain: input.text("domain"), bus: input.text("bus") };
  const asked = await context.api.call("attachClaim", {
    params: { claim: input.argument("CLAIM") },
    body: {
      hypervisor: input.text("hypervisor") as AttachRequest["hypervisor"],
      ...present(where),
    },
  });
  if (input.on("no-wait")) return objectOutput(asked, asked.id);
  const view = await waitForPlug(context, asked.id, true, input.number("wait-timeout"));
  const text = guestText(view.attachment);
  return text === undefined
    ? objectOutput(view, view.id)
    : textOutput(printableLines(text.trimEnd()), view, [view.id]);
}

/** The form that each hypervisor's tools take: XML, a CDI name, lines of words, Nova's JSON. */
function guestText(attachment: ClaimView["attachment"]): string | undefined {
  const { xml, cdi, device, bus, handleInfo } = attachment ?? {};
  if (xml !== undefined || cdi !== undefined) return xml ?? cdi;
  if (handleInfo !== undefined) return JSON.stringify(handleInfo);
  if (device === undefined) return undefined;
  return bus === undefined ? `device ${device}` : `device ${device}\nbus ${bus}`;
}

/** Waits until the handle is plugged or unplugged; throws the plug's error or the claim's reason. */
async function waitForPlug(
  context: Context,
  id: string,
  plugged: boolean,
  seconds: number | undefined,
): Promise<ClaimView> {
  const ended = ({ state }: ClaimView) => state !== "Bound" && state !== "BindStarted";
  const view = await waitFor(context, {
    look: () => context.api.call("getClaim", { params: { claim: id } }),
    done: (one) => one.plugged === plugged || one.plugError !== undefined || ended(one),
    show: () => {},
    again: `gatehouse claims show ${id}`,
    seconds,
  });
  const trouble = view.plugError ?? (ended(view) ? view.reason : undefined);
  if (trouble !== undefined) throw new Failure(trouble);
  if (view.plugged === plugged) return view;
  throw new Failure({ code: "WRONG_STATE", message: `The claim is ${view.state}` });
}
