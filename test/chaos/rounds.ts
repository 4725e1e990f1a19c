import type { DeployableView } from "#protocol/http/deployables";
import { runArqClient } from "./arq-client.ts";
import { answerAll, type Picture, seeAll, settle } from "./calm.ts";
import { checkAll } from "./checks.ts";
import { HighMarks, seeDeployables, watchFences } from "./fence-watch.ts";
import { Ledger, type Violation } from "./ledger.ts";
import { runNativeClient } from "./native-client.ts";
import { calmDown, type Deeds, rage } from "./nemesis.ts";
import type { Seeded } from "./seeded.ts";
import type { Site } from "./site.ts";

/** Ms of faults in one round. */
const rageMs = 9000;
/** Projects of native clients; one more asks as Nova does. */
const projects = ["ash", "birch", "cedar", "alder"];

/** Rounds of faults and calm over one system, whose state goes on from round to round. */
export class Rounds {
  readonly #site: Site;
  readonly #streams: (name: string) => Seeded;
  readonly #ledger = new Ledger();
  readonly #marks = new HighMarks();

  constructor(site: Site, streams: (name: string) => Seeded) {
    this.#site = site;
    this.#streams = streams;
  }

  get violations(): readonly Violation[] {
    return this.#ledger.violations;
  }

  /** One round; answers its line. */
  async run(round: number): Promise<string> {
    const before = { ...this.#ledger.counts };
    const done = await this.#faults(round);
    const started = performance.now();
    await calmDown(this.#site);
    await this.#rest();
    const calm = ((performance.now() - started) / 1000).toFixed(1);
    const { counts } = this.#ledger;
    const names = Object.keys(counts) as (keyof typeof counts)[];
    const claims = names.map((name) => `${name} ${counts[name] - before[name]}`);
    const faults = [...done].map(([name, count]) => `${name} ${count}`);
    const verdict = this.violations.length === 0 ? "ok" : "VIOLATED";
    return `round ${round} ${verdict}: ${claims.join(", ")}; calm after ${calm} s; ${faults.join(", ")}`;
  }

  /** Everybody gives back what they have: then every card is free. */
  async last(): Promise<string> {
    for (const held of this.#ledger.held.values()) {
      if (held.release === "no") held.release = "asked";
    }
    const { deployables } = await this.#rest();
    const handles = deployables.flatMap(({ handles }: DeployableView) => handles);
    const taken = handles.filter(({ state }) => state !== "free");
    for (const { name, state } of taken) {
      this.#ledger.violated("all settles and every card is offered again", `${name} is ${state}`);
    }
    return `all released: ${handles.length - taken.length} of ${handles.length} handles are free`;
  }

  async #faults(round: number): Promise<Deeds> {
    const { caller, images, providers } = this.#site;
    const ledger = this.#ledger;
    const ending = new AbortController();
    const parts = (project: string) => ({
      caller,
      ledger,
      images,
      project,
      random: this.#streams(`${round} ${project}`),
      over: ending.signal,
    });
    const clients = [
      ...projects.map(async (project) => await runNativeClient(parts(project))),
      runArqClient(parts("nova"), providers),
      watchFences(caller, this.#marks, { ledger, over: ending.signal }),
    ];
    const done = await rage(
      this.#site,
      this.#streams(`${round} nemesis`),
      performance.now() + rageMs,
    );
    ending.abort();
    await Promise.all(clients);
    return done;
  }

  async #rest(): Promise<Picture> {
    const { caller, hosts } = this.#site;
    const ledger = this.#ledger;
    await answerAll(caller, ledger);
    const picture = await settle(caller, ledger);
    await seeAll(caller, ledger);
    seeDeployables(this.#marks, ledger, picture.deployables);
    const found = await checkAll(caller, picture, { held: ledger.held, hosts });
    for (const { check, what } of found) ledger.violated(check, what);
    return picture;
  }
}
