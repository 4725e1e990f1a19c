import type { Command, Flag } from "../command.ts";
import { flagsOf, quoted, valueFlags } from "./words.ts";

/** The script for fish 3 and later. */
export function fishScript(commands: readonly Command[]): string {
  const lines = commands.flatMap((command) => {
    const path = command.words.join(" ");
    const parent = command.words.slice(0, -1).join(" ");
    const last = command.words.at(-1) ?? "";
    return [
      `complete -c gatehouse -f -n '__gatehouse_at "${parent}"' -a ${last} -d ${quoted(command.summary)}`,
      ...flagsOf(command).map((flag) => fishFlag(path, flag)),
    ];
  });
  const nouns = [
    ...new Set(commands.filter(({ words }) => words.length > 1).map(({ words }) => words[0])),
  ];
  const known = commands.map((command) => quoted(command.words.join(" "))).join(" ");
  return `# fish completion of gatehouse: gatehouse completion fish | source
function __gatehouse_prefix
  set -l prefix
  set -l skip 0
  for word in (commandline -opc)[2..-1]
    if test $skip = 1
      set skip 0
      continue
    end
    contains -- $word ${valueFlags(commands).join(" ")}; and set skip 1
    string match -q -- '-*' $word; and continue
    contains -- "$prefix" ${known}; and break
    set prefix (string trim "$prefix $word")
  end
  echo $prefix
end
function __gatehouse_at
  test (__gatehouse_prefix) = "$argv[1]"
end
complete -c gatehouse -f -n '__gatehouse_at ""' -a ${quoted(nouns.join(" "))}
${lines.join("\n")}
`;
}

function fishFlag(path: string, flag: Flag): string {
  const short = flag.short === undefined ? "" : ` -s ${flag.short}`;
  const value = flag.kind === "switch" ? "" : " -r";
  return `complete -c gatehouse -n '__gatehouse_at "${path}"' -l ${flag.name}${short}${value} -d ${quoted(flag.help)}`;
}
