import { objectCommand } from "../acting.ts";
import type { Command } from "../command.ts";
import { readFile } from "../files.ts";
import { listCommand } from "../listing.ts";
import { objectOutput } from "../output.ts";

const key = { name: "KEY", help: "Key id, such as ed25519:…" };

const add: Command = {
  words: ["keys", "add"],
  summary: "Trust an Ed25519 public key",
  arguments: [{ name: "FILE", help: "Public key as PEM (- reads standard input)" }],
  flags: [{ name: "name", kind: "text", value: "NAME", help: "Whose key it is", required: true }],
  calls: ["createKey"],
  async run({ api, io }, input) {
    const publicKey = await readFile(io, input.argument("FILE"));
    const body = { name: input.text("name") ?? "", publicKey };
    const view = await api.call("createKey", { body });
    return objectOutput(view, view.id);
  },
};

/** Commands of signing keys. */
export const keyCommands: readonly Command[] = [
  add,
  listCommand({
    words: ["keys", "list"],
    summary: "List trusted and revoked keys",
    operation: "listKeys",
    columns: [
      { title: "ID", of: (row) => row.id },
      { title: "NAME", of: (row) => row.name, flex: true },
      { title: "REVOKED", of: (row) => row.revokedAt },
      { title: "CREATED", of: (row) => row.createdAt, extra: true },
    ],
    id: (row) => row.id,
  }),
  objectCommand({
    words: ["keys", "show"],
    summary: "Show one key",
    operation: "getKey",
    param: "key",
    argument: key,
    id: (view) => view.id,
  }),
  objectCommand({
    words: ["keys", "revoke"],
    summary: "Revoke a key and every image it signed",
    operation: "revokeKey",
    param: "key",
    argument: key,
    id: (view) => view.id,
  }),
];
