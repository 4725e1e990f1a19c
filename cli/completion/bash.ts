import type { Command } from "../command.ts";
import { flagsOf, nextWords, valueFlags } from "./words.ts";

/** The script for bash 4 and later. */
export function bashScript(commands: readonly Command[]): string {
  const words = [...nextWords(commands)].map(
    ([prefix, next]) => `    "${prefix}") next="${next.join(" ")}" ;;`,
  );
  const flags = commands.map((command) => {
    const names = flagsOf(command).map((flag) => `--${flag.name}`);
    return `    "${command.words.join(" ")}") flags="${names.join(" ")}" ;;`;
  });
  return `# bash completion of gatehouse: source <(gatehouse completion bash)
_gatehouse() {
  local current="\${COMP_WORDS[COMP_CWORD]}" prefix="" word next="" flags="" skip=0 index
  COMPREPLY=()
  for ((index = 1; index < COMP_CWORD; index++)); do
    word="\${COMP_WORDS[index]}"
    if ((skip)); then skip=0; continue; fi
    case "$word" in
      ${valueFlags(commands).join("|")}) skip=1 ;;
      -*) ;;
      *) [[ -z "$(_gatehouse_flags "$prefix")" ]] && prefix="\${prefix:+$prefix }$word" ;;
    esac
  done
  if ((skip)); then COMPREPLY=($(compgen -f -- "$current")); return; fi
  case "$prefix" in
${words.join("\n")}
  esac
  if [[ "$current" == -* ]]; then next="$(_gatehouse_flags "$prefix")"; fi
  if [[ -z "$next" ]]; then COMPREPLY=($(compgen -f -- "$current")); return; fi
  COMPREPLY=($(compgen -W "$next" -- "$current"))
}
_gatehouse_flags() {
  local flags=""
  case "$1" in
${flags.join("\n")}
  esac
  printf '%s' "$flags"
}
complete -F _gatehouse gatehouse
`;
}
