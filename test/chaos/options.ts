import { parseArgs } from "node:util";
import type { Planted } from "./site.ts";

/** What `--help` prints. */
export const help = `Kills, stops, cuts off and fills up the processes of a whole Gatehouse, and sees what holds.

  npm run chaos -- --rounds N      rounds of faults and calm (20)
  npm run chaos -- --seed S        what the faults and clients follow from; another one each run
  npm run chaos -- --minutes M     no new round after so long (30)
  npm run chaos -- --hosts N       agents (3)
  npm run chaos -- --planted NAME  breaks something on purpose, or each in turn (all): the run must find it
`;

/** Faults that a good cloud and a good agent do not have, each with the check that finds it. */
export const planted: Readonly<Record<string, Planted & { readonly finds: string }>> = {
  "lost-writes": {
    cloud: "table.write=lose@0.05",
    agents: "",
    finds: "what was answered is kept",
  },
  "no-conditions": {
    cloud: "table.write=unconditional",
    agents: "",
    finds: "a handle has one holder",
  },
  "no-cleaning": { cloud: "", agents: "agent.clean=skip", finds: "scrubbed before offered again" },
};

/** What a run is asked for. */
export interface Options {
  readonly rounds: number;
  readonly seed: number;
  readonly minutes: number;
  readonly hosts: number;
  readonly planted: string | undefined;
}

/** Reads the command line; undefined when help is asked for. Throws with the option that is wrong. */
export function readOptions(args: readonly string[]): Options | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rounds: { type: "string", default: "20" },
      seed: { type: "string", default: String(Date.now() % 1_000_000) },
      minutes: { type: "string", default: "30" },
      hosts: { type: "string", default: "3" },
      planted: { type: "string" },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help) return undefined;
  const whole = (name: "rounds" | "seed" | "minutes" | "hosts") => {
    const value = Number(values[name]);
    if (Number.isInteger(value) && value >= (name === "seed" ? 0 : 1)) return value;
    throw new Error(`--${name}: expected a whole number, not ${values[name]}`);
  };
  const names = [...Object.keys(planted), "all"];
  if (values.planted !== undefined && !names.includes(values.planted)) {
    throw new Error(`--planted: one of ${names.join(", ")}`);
  }
  const [rounds, seed, minutes, hosts] = [
    whole("rounds"),
    whole("seed"),
    whole("minutes"),
    whole("hosts"),
  ];
  return { rounds, seed, minutes, hosts, planted: values.planted };
}
