import { createPrivateKey, createPublicKey, type KeyObject } from "node:crypto";
import { Fault } from "#domain/faults";
import { deployableId, uuidOf } from "#protocol/uuid";
import { protocolVersion } from "#protocol/wire/shapes";
import { Discoverer } from "../../agent/discovery.ts";
import type { CardMemory } from "../../agent/drivers/card-family.ts";
import { simulatedDriver } from "../../agent/drivers/simulated.ts";
import type { CardDescription } from "../../agent/host/memory-kernel/cards.ts";
import { type MemoryKernel, memoryKernel } from "../../agent/host/memory-kernel/kernel.ts";
import type { BoundHandle, Hypervisor } from "../../agent/hypervisors/hypervisor.ts";
import type { Equipment } from "../../agent/reconcile/ports.ts";
import { Reconciler } from "../../agent/reconcile/reconciler.ts";
import type { Runtime } from "../../agent/runtime.ts";
import { Session } from "../../agent/session/session.ts";
import { TrustedClock } from "../../agent/trusted-clock.ts";
import { Cards, type Plugged } from "./cards.ts";
import { Disk } from "./disk.ts";
import type { Faults } from "./faults.ts";
import type { Gateway } from "./gateway.ts";
import { ownersOf, type StockImage, simCache } from "./images.ts";
import type { Records } from "./judge/cards.ts";
import type { Judge } from "./judge.ts";
import type { Plant } from "./plants.ts";
import type { Random } from "./random.ts";
import { epoch, type Time } from "./time.ts";

/** What a host is made of. */
export interface HostParts {
  readonly name: string;
  readonly time: Time;
  readonly faults: Faults;
  readonly random: Random;
  readonly gateway: Gateway;
  readonly judge: Judge;
  readonly images: readonly StockImage[];
  readonly cards: readonly CardDescription[];
  readonly plant?: Plant | undefined;
  readonly log: (what: string) => void;
}

const stateDir = "/var/lib/gatehouse";
/** Scans are told of changes, so that they need not come as often as on a real host, ms. */
const scanMs = 60_000;
/** A kernel that is not done with a write, program or scrub after this time is stuck, ms. */
const deadlines = { write: 20_000, program: 30_000, scrub: 30_000 } as const;

/** One life of an agent process. After it nothing it waits for ever comes. */
class Life {
  isOver = false;
  /** Calls to the outside that are left to it. */
  left = Number.POSITIVE_INFINITY;
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  /** A call to the outside: the process may end before it or when it is done. */
  async guard<Value>(call: () => Promise<Value>): Promise<Value> {
    this.left -= 1;
    const isLast = this.left < 0;
    if (this.isOver || (isLast && this.#random.chance(0.5))) return await this.#end();
    const value = await call();
    return this.isOver || isLast ? await this.#end() : value;
  }

  gated<Port extends object>(port: Port, names: readonly (keyof Port)[]): Port {
    const gated: Partial<Port> = {};
    for (const name of names) {
      const call = port[name];
      if (typeof call !== "function") continue;
      const guarded = (...given: unknown[]) =>
        this.guard(() => Reflect.apply(call, port, given) as Promise<unknown>);
      gated[name] = guarded as Port[typeof name];
    }
    return { ...port, ...gated };
  }

  #end(): Promise<never> {
    this.isOver = true;
    return new Promise(() => undefined);
  }
}

/** A compute node: cards and disk that last, guests, and an agent that comes and goes. */
export class Host {
  readonly id: string;
  readonly name: string;
  readonly key: KeyObject;
  readonly publicKey: string;
  readonly kernel: MemoryKernel;
  readonly cards: Cards;
  readonly #parts: HostParts;
  readonly #disk: Disk;
  readonly #kept = new Set<string>();
  #life: Life;
  #scan: () => void = () => undefined;
  #boots = 0;
  #offUntil = 0;
  #isForgetful = false;
  /** What was last read of cards: a file that the next agent finds. */
  readonly #facts = new Map<string, object>();
  readonly #memory: CardMemory = {
    recall: (card) => this.#facts.get(card),
    remember: (card, what) => void this.#facts.set(card, what),
  };
  /** What the host's own clock is off by, ms. */
  #skew = 0;

  constructor(parts: HostParts) {
    const { name, time, faults, random, plant, cards, images } = parts;
    this.#parts = parts;
    this.name = name;
    this.id = uuidOf("host", name);
    this.key = keyOf(this.id);
    this.publicKey = createPublicKey(this.key).export({ type: "spki", format: "pem" }).toString();
    this.#disk = new Disk({ faults, random, plant });
    this.kernel = memoryKernel({ cards, bootId: this.#bootId(), sleep: time.sleep });
    this.cards = new Cards(this.kernel, ownersOf(images));
    this.#life = new Life(random);
    this.#life.isOver = true;
  }

  get isUp(): boolean {
    return !this.#life.isOver;
  }

  /**
   * True when the agent lost what it would need to go on: it takes nothing from a guest that it did
   * not give to it, does not know any more which VFs a change that was cut off took off a card, and
   * does not take its driver off a function that it did not bind.
   */
  get needsReboot(): boolean {
    if (!this.#isForgetful) return false;
    const { cards, functions } = this.kernel.state();
    const vfs = new Set(functions.filter(({ role }) => role === "vf").map(({ card }) => card));
    const bare = cards.some(({ id, description }) => description.model === "dfl" && !vfs.has(id));
    const isBound = functions.some(({ driver }) => driver === "vfio-pci");
    return bare || isBound || this.cards.plugged.size > 0;
  }

  /** True when a card is not on the bus. */
  get lacksCards(): boolean {
    return this.kernel.state().cards.some(({ present }) => !present);
  }

  /** The agent starts, unless it runs or its machine is still off. */
  start(): void {
    if (this.isUp || this.#parts.time.elapsed < this.#offUntil) return;
    this.#parts.log(`${this.name}: agent starts`);
    this.#life = new Life(this.#parts.random);
    // Of a life that was cut short nothing is heard; of any other nothing may go wrong here.
    this.#run(this.#life).catch((error: unknown) => {
      this.#parts.log(`${this.name}: agent could not start: ${String(error)}`);
      this.kill();
    });
  }

  /** kill -9. What the kernel and the guests do goes on. */
  kill(): void {
    this.#life.isOver = true;
    this.#parts.gateway.cut(this.id, false);
  }

  /** The agent ends at one of its next calls to the outside. */
  killSoon(calls: number): void {
    this.#life.left = calls;
  }

  /** Power off for some ms: guests are gone, and so is what was not synced. */
  async powerOff(ms = 0): Promise<void> {
    this.kill();
    this.#offUntil = this.#parts.time.elapsed + ms;
    this.#isForgetful = false;
    this.cards.plugged.clear();
    this.#disk.powerOff();
    await this.kernel.reboot(this.#bootId());
  }

  /** The agent loses what it kept on disk, whole or in part, while it does not run. */
  loseDisk(): void {
    this.kill();
    this.#isForgetful = true;
    this.#facts.clear();
    this.#parts.log(`${this.name}: lost ${this.#disk.lose()}`);
  }

  /** The agent's sockets break off; half-open ones at one end only. */
  cut(isHalfOpen: boolean): void {
    this.#parts.gateway.cut(this.id, isHalfOpen);
  }

  jumpClock(ms: number): void {
    this.#skew += ms;
  }

  /** The kernel tells of a change of its devices. */
  changed(): void {
    this.#scan();
  }

  /** Everything that was broken by hand works again. */
  async heal(): Promise<void> {
    for (const { id, regions } of this.kernel.state().cards) {
      for (const { key } of regions) await this.kernel.endHang(id, key);
      await this.kernel.setFatalErrors(id, 0);
      await this.kernel.setPresent(id, true);
    }
    this.kernel.state().failures = [];
    this.#skew = 0;
    this.#offUntil = 0;
    this.changed();
  }

  #bootId(): string {
    this.#boots += 1;
    return uuidOf("boot", this.#parts.name, String(this.#boots));
  }

  async #run(life: Life): Promise<void> {
    const { time, random, log } = this.#parts;
    const clock = {
      wall: () => epoch + time.elapsed + this.#skew,
      monotonic: () => time.elapsed,
    };
    const runtime: Runtime = {
      clock,
      random: random.next,
      sleep: (ms, signal) => life.guard(() => time.sleep(ms, signal)),
      log: (event, facts) => log(`${this.name}: ${event} ${JSON.stringify(facts ?? {})}`),
      failpoint: () => life.guard(async () => undefined),
    };
    const trustedClock = new TrustedClock(clock);
    const bootId = this.kernel.state().bootId;
    const files = life.gated(this.#disk.files, [
      "open",
      "rename",
      "rm",
      "readdir",
      "readFile",
      "mkdir",
    ]);
    const reconciler: Reconciler = new Reconciler({
      bootId,
      records: { stateDir, files, failpoint: runtime.failpoint },
      equipment: this.#equipment(life, runtime),
      publish: (body, toCloud) => {
        if (toCloud) session.report(body);
      },
      rescan: () => discoverer.scan(),
      trustedClock,
      answer: (answer) => session.answer(answer),
    });
    const session = this.#session(life, { runtime, trustedClock, reconciler, bootId });
    const driver = this.#driver(life);
    const discoverer = new Discoverer(driver, runtime, async (discovery) => {
      session.inventory(discovery.devices);
      await reconciler.discovered(discovery);
    });
    this.#scan = () => {
      if (!life.isOver) discoverer.changed();
    };
    await reconciler.open();
    await discoverer.scan();
    void discoverer.run(scanMs);
    await session.run();
  }

  #session(
    life: Life,
    parts: {
      readonly runtime: Runtime;
      readonly trustedClock: TrustedClock;
      readonly reconciler: Reconciler;
      readonly bootId: string;
    },
  ): Session {
    const { gateway } = this.#parts;
    const { bootId, ...others } = parts;
    const peer = { host: this.id, publicKey: this.publicKey, isOver: () => life.isOver };
    return new Session({
      ...others,
      token: () => Promise.resolve("proven"),
      sockets: (_, events) => gateway.open(peer, events),
      polls: (_, events) => gateway.open(peer, events),
      identity: {
        host: this.id,
        agentVersion: "0.1.0",
        protocol: protocolVersion,
        bootId,
        capabilities: ["program", "scrub", "plug", "replug", "card-operations"],
      },
    });
  }

  #port(life: Life): MemoryKernel {
    const { judge } = this.#parts;
    const state = () => this.kernel.state();
    const watched: MemoryKernel = {
      ...this.kernel,
      programPort: (fme, port, image, progress) => {
        const number = Number(fme.split(".").at(-1));
        const card = state().cards.find((one) => one.number === number && one.present);
        const id = deployableId(this.id, card?.id ?? "", card?.regions[port]?.key ?? "");
        judge.programming(this.id, id, image.functionId, this.#recordsOf(id));
        return this.kernel.programPort(fme, port, image, progress);
      },
      programUser: (management, image, progress) => {
        const fn = state().functions.find(({ address }) => address === management);
        const id = deployableId(this.id, fn?.card ?? "", "card");
        judge.programming(this.id, id, image.functionId, this.#recordsOf(id));
        return this.kernel.programUser(management, image, progress);
      },
    };
    return life.gated(watched, [
      "write",
      "programPort",
      "programUser",
      "releasePort",
      "assignPort",
    ]);
  }

  #recordsOf(deployable: string): Records {
    const at = (kind: string) => this.#disk.recordAt(`${stateDir}/${kind}/${deployable}.json`);
    return {
      marks: at("marks") as Records["marks"],
      journal: at("journal") as Records["journal"],
    };
  }

  #driver(life: Life): Equipment["driver"] {
    const { time, plant } = this.#parts;
    const port = this.#port(life);
    const writeDeadlineMs = deadlines.write;
    const driver = simulatedDriver({
      hostId: this.id,
      port,
      pr: port,
      sleep: time.sleep,
      writeDeadlineMs,
      memory: this.#memory,
    });
    return plant?.driver === undefined ? driver : plant.driver(driver);
  }

  #equipment(life: Life, runtime: Runtime): Equipment {
    const { images, faults, random } = this.#parts;
    const port = this.#port(life);
    return {
      driver: this.#driver(life),
      hypervisors: [this.#hypervisor(life)],
      kernel: port,
      vfio: {
        port,
        sleep: runtime.sleep,
        deadlineMs: deadlines.write,
        allowed: () => true,
        anyClass: () => true,
      },
      images: simCache({ images, faults, random, sleep: runtime.sleep, kept: this.#kept }),
      key: this.key,
      deadlines,
      runtime,
    };
  }

  /** Guests that open the VFIO group of what they get, and write into all of it. */
  #hypervisor(life: Life): Hypervisor {
    const { faults, random } = this.#parts;
    const calls: Hypervisor = {
      name: "libvirt",
      plug: async (handle) => {
        if (faults.strikes("plug-failure", random)) throw new Fault("PLUG_FAILED");
        await this.#plug(handle);
        return { hypervisor: "libvirt", pciAddress: handle.address, xml: "<hostdev/>" };
      },
      unplug: async (handle) => {
        if (faults.strikes("plug-failure", random)) throw new Fault("UNPLUG_FAILED");
        const plug = this.cards.plugged.get(handle.address);
        if (plug === undefined) return;
        await this.kernel.close(`/dev/vfio/${plug.group}`, 4711);
        this.cards.plugged.delete(handle.address);
      },
    };
    return life.gated(calls, ["plug", "unplug"]);
  }

  async #plug({ deployable, name, claim, address, iommuGroup }: BoundHandle): Promise<void> {
    const { judge } = this.#parts;
    const known = this.cards.plugged.get(address);
    if (known?.claim === claim) return;
    if (known !== undefined) throw new Fault("PLUG_FAILED", "another guest has it");
    const project = judge.projectOf(claim) ?? "";
    const plug = { deployable, handle: name, claim, project, address, group: iommuGroup ?? 0 };
    judge.plugging(this.id, plug, this.#recordsOf(deployable));
    await this.kernel.open(`/dev/vfio/${plug.group}`, { pid: 4711, command: `qemu ${claim}` });
    this.cards.plugged.set(address, plug satisfies Plugged);
    this.cards.soil(plug);
  }
}

/** An Ed25519 key that follows from a name: RFC 8410's wrapping of 32 bytes. */
function keyOf(name: string): KeyObject {
  const bytes = Buffer.alloc(32, name);
  const der = Buffer.concat([Buffer.from("302e020100300506032b657004220420", "hex"), bytes]);
  return createPrivateKey({ key: der, format: "der", type: "pkcs8" });
}
