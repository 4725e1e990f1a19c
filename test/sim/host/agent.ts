import { protocolVersion } from "#protocol/wire/shapes";
import { Discoverer } from "../../../agent/discovery.ts";
import { Reconciler } from "../../../agent/reconcile/reconciler.ts";
import type { Runtime } from "../../../agent/runtime.ts";
import { Session } from "../../../agent/session/session.ts";
import { TrustedClock } from "../../../agent/trusted-clock.ts";
import { epoch } from "../time.ts";
import { driverOf, equipmentOf } from "./equipment.ts";
import type { Life } from "./life.ts";
import { type Machine, stateDir } from "./machine.ts";

/** Scans are told of changes, so that they need not come as often as on a real host, ms. */
const scanMs = 60_000;

/** The real agent's parts, put together for one life on a simulated machine. */
export class Agent {
  readonly #machine: Machine;
  readonly #life: Life;
  readonly #runtime: Runtime;
  readonly #trustedClock: TrustedClock;
  readonly #bootId: string;
  readonly #reconciler: Reconciler;
  readonly #session: Session;
  readonly #discoverer: Discoverer;

  /** `skew` is what the host's own clock is off by, ms. */
  constructor(machine: Machine, life: Life, skew: () => number) {
    this.#machine = machine;
    this.#life = life;
    this.#bootId = machine.kernel.state().bootId;
    this.#runtime = runtimeOf(machine, life, skew);
    this.#trustedClock = new TrustedClock(this.#runtime.clock);
    this.#reconciler = this.#newReconciler();
    this.#session = this.#newSession();
    const driver = driverOf(machine, life);
    this.#discoverer = new Discoverer(driver, this.#runtime, async (discovery) => {
      this.#session.inventory(discovery.devices);
      await this.#reconciler.discovered(discovery);
    });
  }

  /** Works until its session ends; rejects when it cannot start. */
  async run(): Promise<void> {
    await this.#reconciler.open();
    await this.#discoverer.scan();
    void this.#discoverer.run(scanMs);
    await this.#session.run();
  }

  /** The kernel tells of a change of its devices. */
  changed(): void {
    if (!this.#life.isOver) this.#discoverer.changed();
  }

  #newReconciler(): Reconciler {
    const { disk } = this.#machine;
    const calls = ["open", "rename", "rm", "readdir", "readFile", "mkdir"] as const;
    const files = this.#life.gated(disk.files, calls);
    return new Reconciler({
      bootId: this.#bootId,
      records: { stateDir, files, failpoint: this.#runtime.failpoint },
      equipment: equipmentOf(this.#machine, this.#life, this.#runtime),
      publish: (body, toCloud) => {
        if (toCloud) this.#session.report(body);
      },
      rescan: () => this.#discoverer.scan(),
      trustedClock: this.#trustedClock,
      answer: (answer) => this.#session.answer(answer),
    });
  }

  #newSession(): Session {
    const { id, publicKey } = this.#machine;
    const { gateway } = this.#machine.parts;
    const peer = { host: id, publicKey, isOver: () => this.#life.isOver };
    return new Session({
      runtime: this.#runtime,
      trustedClock: this.#trustedClock,
      reconciler: this.#reconciler,
      token: () => Promise.resolve("proven"),
      sockets: (_, events) => gateway.open(peer, events),
      polls: (_, events) => gateway.open(peer, events),
      identity: {
        host: id,
        agentVersion: "0.1.0",
        protocol: protocolVersion,
        bootId: this.#bootId,
        capabilities: ["program", "scrub", "plug", "replug", "card-operations"],
      },
    });
  }
}

function runtimeOf({ parts }: Machine, life: Life, skew: () => number): Runtime {
  const { name, time, random, log } = parts;
  return {
    clock: {
      wall: () => epoch + time.elapsed + skew(),
      monotonic: () => time.elapsed,
    },
    random: random.next,
    sleep: (ms, signal) => life.guard(() => time.sleep(ms, signal)),
    log: (event, facts) => log(`${name}: ${event} ${JSON.stringify(facts ?? {})}`),
    failpoint: () => life.guard(async () => undefined),
  };
}
