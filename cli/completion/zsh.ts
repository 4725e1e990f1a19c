import type { Command } from "../command.ts";
import { flagsOf, nextWords, quoted, valueFlags } from "./words.ts";

/** The script for zsh. */
export function zshScript(commands: readonly Command[]): string {
  const words = [...nextWords(commands)].map(
    ([prefix, next]) => `    "${prefix}") next=(${next.join(" ")}) ;;`,
  );
  const flags = commands.map((command) => {
    const described = flagsOf(command).map((flag) => quoted(`--${flag.name}:${flag.help}`));
    return `    "${command.words.join(" ")}") flags=(${described.join(" ")}) ;;`;
  });
  return `#compdef gatehouse
# zsh completion of gatehouse: source <(gatehouse completion zsh)
_gatehouse() {
  local -a next flags
  local prefix="" word skip=0
  for word in "\${(@)words[2,CURRENT-1]}"; do
    if ((skip)); then skip=0; continue; fi
    case "$word" in
      ${valueFlags(commands).join("|")}) skip=1 ;;
      -*) ;;
      *) _gatehouse_flags "$prefix"; (( \${#flags} )) || prefix="\${prefix:+$prefix }$word" ;;
    esac
  done
  if ((skip)); then _files; return; fi
  case "$prefix" in
${words.join("\n")}
  esac
  _gatehouse_flags "$prefix"
  if [[ "\${words[CURRENT]}" == -* ]]; then _describe flag flags; return; fi
  if (( \${#next} )); then compadd -a next; else _files; fi
}
_gatehouse_flags() {
  flags=()
  case "$1" in
${flags.join("\n")}
  esac
}
compdef _gatehouse gatehouse
`;
}
