import type { CreateProfile, ProfileView } from "#protocol/http/settings";
import { objectCommand } from "../acting.ts";
import type { Command, Input } from "../command.ts";
import { usage } from "../failure.ts";
import { parseJson, readFile } from "../files.ts";
import type { Io } from "../io.ts";
import { listCommand } from "../listing.ts";
import { objectOutput } from "../output.ts";
import { present } from "../text.ts";

const profile = { name: "NAME", help: "Profile name" };

const create: Command = {
  words: ["profiles", "create"],
  summary: "Create named request groups",
  detail:
    "A group is written as pairs: --group resources:CUSTOM_FPGA_INTEL_PF=1,trait:CUSTOM_FPGA=required\nA file holds the groups as JSON: a list of objects with such members.",
  arguments: [profile],
  flags: [
    { name: "group", kind: "list", value: "PAIRS", help: "One group, as KEY=VALUE,KEY=VALUE" },
    { name: "file", kind: "text", value: "FILE", help: "Groups as JSON (- reads standard input)" },
    { name: "description", kind: "text", value: "TEXT", help: "What it is for" },
  ],
  calls: ["createProfile"],
  async run({ api, io }, input) {
    const description = input.text("description");
    const groups = await readGroups(io, input);
    const body = { name: input.argument("NAME"), groups, ...present({ description }) };
    const view = await api.call("createProfile", { body });
    return objectOutput(view, view.name);
  },
};

async function readGroups(io: Io, input: Input): Promise<CreateProfile["groups"]> {
  const file = input.text("file");
  const groups = input.list("group");
  if ((file === undefined) === (groups === undefined)) {
    throw usage("profiles create: expected --group or --file", "groups", "one of the two");
  }
  if (file === undefined) return (groups ?? []).map(readPairs);
  // What it holds is judged by the request's schema.
  return parseJson(file, await readFile(io, file)) as CreateProfile["groups"];
}

function readPairs(text: string): Record<string, string> {
  const pairs = text.split(",").map((pair) => {
    const split = pair.indexOf("=");
    if (split < 1) throw usage(`--group: ${pair} is not KEY=VALUE`, "group", "KEY=VALUE");
    return [pair.slice(0, split).trim(), pair.slice(split + 1).trim()] as const;
  });
  return Object.fromEntries(pairs);
}

/** Commands of profiles. */
export const profileCommands: readonly Command[] = [
  create,
  listCommand({
    words: ["profiles", "list"],
    summary: "List profiles",
    operation: "listProfiles",
    columns: [
      { title: "NAME", of: (row: ProfileView) => row.name },
      { title: "ID", of: (row) => row.id, extra: true },
      { title: "GROUPS", of: groupsText, flex: true },
      { title: "DESCRIPTION", of: (row) => row.description, flex: true, extra: true },
    ],
    id: (row) => row.name,
  }),
  objectCommand({
    words: ["profiles", "show"],
    summary: "Show one profile",
    operation: "getProfile",
    param: "profile",
    argument: profile,
    id: (view) => view.name,
  }),
  objectCommand({
    words: ["profiles", "delete"],
    summary: "Delete a profile",
    operation: "deleteProfile",
    param: "profile",
    argument: profile,
    id: (view) => view.name,
  }),
];

function groupsText({ groups }: ProfileView): string {
  const one = (group: Record<string, string>) =>
    Object.entries(group)
      .map(([key, value]) => `${key}=${value}`)
      .join(",");
  return groups.map(one).join(" + ");
}
