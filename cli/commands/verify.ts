import type { ReceiptView } from "#protocol/http/deployables";
import { isSigned, signedReceipt } from "#protocol/http/receipts";
import { receiptDigest } from "#protocol/wire/receipt";
import type { Command, Context, Input, Output } from "../command.ts";
import { Failure } from "../failure.ts";
import { renderFields } from "../fields.ts";
import { everyPage } from "../listing.ts";

/** What was found of one deployable's receipts. */
export interface Verified {
  /** There are receipts, each is signed by the key that it names, and none is wrong. */
  readonly verified: boolean;
  readonly receipts: number;
  /** Numbers that are not shown: receipts of programs of others. */
  readonly hidden: number;
  /** Receipts stored before their keys were. */
  readonly withoutKey: number;
  readonly keys: readonly string[];
  readonly lastScrub?: string;
  readonly wrong: readonly string[];
}

/**
 * Checks every receipt by itself and against the one before it, believing the service in nothing but
 * which key is whose.
 */
export function verifyReceipts(views: readonly ReceiptView[]): Verified {
  const chain = views.toSorted((one, other) => one.number - other.number);
  const signed = chain.map((view) => ({ view, isSigned: isSigned(view) }));
  const forged = signed
    .filter(({ isSigned: is }) => is === false)
    .map(({ view }) => `receipt ${view.number} is not signed by the key that it names`);
  const unlinked = chain.flatMap((view, index) => {
    const before = chain[index - 1];
    if (before?.number === view.number) return [`two receipts have the number ${view.number}`];
    if (before === undefined || before.number !== view.number - 1) return [];
    const isNext = view.previous === receiptDigest(signedReceipt(before).body);
    return isNext ? [] : [`receipt ${view.number} does not name receipt ${before.number}`];
  });
  const [first] = chain;
  const isStart = first?.number !== 1 || /^0{64}$/.test(first.previous);
  const wrong = [...(isStart ? [] : ["receipt 1 names one before it"]), ...forged, ...unlinked];
  const lastScrub = chain.findLast(({ kind }) => kind === "scrub")?.at;
  const withoutKey = signed.filter(({ isSigned: is }) => is === undefined).length;
  return {
    verified: chain.length > 0 && withoutKey === 0 && wrong.length === 0,
    receipts: chain.length,
    hidden: Math.max(0, (chain.at(-1)?.number ?? 0) - chain.length),
    withoutKey,
    keys: [...new Set(chain.flatMap(({ publicKey }) => publicKey ?? []))],
    ...(lastScrub === undefined ? {} : { lastScrub }),
    wrong,
  };
}

/** `deployables verify`: the proof of scrub, checked here and not by the service. */
export const verify: Command = {
  words: ["deployables", "verify"],
  summary: "Check the signatures and the chain of its receipts on this machine",
  detail:
    "Compare the keys with `hosts show` or with what the host's operator says. Receipts that you may not see are counted as hidden. Ends with 5 when a receipt is wrong.",
  arguments: [{ name: "DEPLOYABLE", help: "Deployable id" }],
  calls: ["listReceipts"],
  run,
};

async function run(context: Context, input: Input): Promise<Output | undefined> {
  const chain = { params: { deployable: input.argument("DEPLOYABLE") }, query: { limit: 200 } };
  const { items } = await everyPage(context, "listReceipts", chain);
  const found = verifyReceipts(items);
  const output = outputOf(found);
  if (found.receipts === 0) context.note("there is no receipt yet: nothing was proven");
  if (found.wrong.length === 0) return output;
  context.emit(output);
  throw new Failure(
    { code: "WRONG_STATE", message: `${found.wrong.length} receipts prove nothing` },
    { hint: "keep them (`deployables receipts --all --json`) and report this" },
  );
}

function outputOf(found: Verified): Output {
  const { wrong, keys, ...facts } = found;
  const human = (columns: number | undefined) =>
    [...wrong, renderFields({ ...facts, keys: keys.join(" ") }, columns)].join("\n");
  return { json: found, ids: [], human };
}
