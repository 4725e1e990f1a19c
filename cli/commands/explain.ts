import type { Command } from "../command.ts";
import { renderExplanation } from "../explanation.ts";
import { claimFlags, claimRequest } from "./claim-request.ts";

/** `explain`: what a claim would get, and why not the others. */
export const explainCommands: readonly Command[] = [
  {
    words: ["explain"],
    summary: "Tell which deployables a claim could get, and why not the others",
    flags: claimFlags,
    calls: ["explainClaim"],
    async run({ api }, input) {
      const view = await api.call("explainClaim", { body: claimRequest(input) });
      const fitting = view.deployables.filter(({ verdict }) => verdict === "fits");
      return {
        json: view,
        ids: fitting.map(({ deployable }) => deployable),
        human: (columns) => renderExplanation(view, columns),
      };
    },
  },
];
