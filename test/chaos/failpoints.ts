import { readFileSync, statSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { kernelError } from "../../agent/host/sysfs-port.ts";

/** What is to happen at a failpoint: an action, and its argument (`""` when it has none). */
export interface Fate {
  readonly action: string;
  readonly argument: string;
}

/** The failpoints of one process. */
export interface Failpoints {
  /** Draws what happens at `name` this time; undefined: nothing. */
  readonly draw: (name: string) => Fate | undefined;
  /** Draws and does what any place can do: `kill`, `delay:ms`, `error:code`. */
  readonly pass: (name: string) => Promise<void>;
}

interface Rule {
  readonly pattern: RegExp;
  readonly fate: Fate;
  readonly probability: number;
  left: number;
}

/**
 * Reads `name=action[:argument][@probability][*times]`, several split by commas. A name may hold
 * `*` for any text. Throws on anything else, so that a misspelt failpoint is no quiet success.
 */
export function parseFailpoints(text: string): Rule[] {
  const rules = text.split(",").map((one) => one.trim());
  return rules.filter((one) => one !== "").map(parseRule);
}

function parseRule(text: string): Rule {
  const match = /^([\w.:*-]+)=([a-z-]+)(?::([\w.-]+))?(?:@([\d.]+))?(?:\*(\d+))?$/.exec(text);
  const [, name, action, argument = "", probability = "1", times] = match ?? [];
  const chance = Number(probability);
  if (name === undefined || action === undefined || !(chance >= 0 && chance <= 1)) {
    throw new Error(`not a failpoint: ${text}`);
  }
  const pattern = name.split("*").map((part) => part.replaceAll(".", "\\."));
  return {
    pattern: new RegExp(`^${pattern.join(".*")}$`),
    fate: { action, argument },
    probability: chance,
    left: times === undefined ? Number.POSITIVE_INFINITY : Number(times),
  };
}

/**
 * Failpoints as a setting words them; `@file` reads them from a file again whenever it changes, so
 * that a running process can be disturbed and left alone. `kill` ends this process as -9 does.
 */
export function openFailpoints(
  setting: string,
  random: () => number,
  kill: () => void = () => process.kill(process.pid, "SIGKILL"),
): Failpoints {
  const rules = setting.startsWith("@") ? rulesOfFile(setting.slice(1)) : fixed(setting);
  const draw = (name: string) => {
    const rule = rules().find(
      (one) => one.left > 0 && one.pattern.test(name) && random() < one.probability,
    );
    if (rule !== undefined) rule.left -= 1;
    return rule?.fate;
  };
  return {
    draw,
    pass: async (name) => {
      const { action, argument } = draw(name) ?? { action: "none", argument: "" };
      if (action === "kill") kill();
      if (action === "delay") await pause(Number(argument));
      if (action === "error") throw kernelError(argument, name);
    },
  };
}

function fixed(setting: string): () => Rule[] {
  const rules = parseFailpoints(setting);
  return () => rules;
}

function rulesOfFile(path: string): () => Rule[] {
  let version = "";
  let rules: Rule[] = [];
  return () => {
    const { mtimeMs, size, ino } = statSync(path);
    const newest = `${mtimeMs} ${size} ${ino}`;
    if (newest !== version) rules = parseFailpoints(readFileSync(path, "utf8"));
    version = newest;
    return rules;
  };
}
