import { createPublicKey, type KeyObject } from "node:crypto";
import { uuidOf } from "#protocol/uuid";
import type { CardMemory } from "../../agent/drivers/card-family.ts";
import { type MemoryKernel, memoryKernel } from "../../agent/host/memory-kernel/kernel.ts";
import { Cards } from "./cards.ts";
import { Disk } from "./disk.ts";
import { Agent } from "./host/agent.ts";
import { keyOf } from "./host/key.ts";
import { Life } from "./host/life.ts";
import type { HostParts, Machine } from "./host/machine.ts";

/** A compute node: cards and disk that last, guests, and an agent that comes and goes. */
export class Host implements Machine {
  readonly id: string;
  readonly name: string;
  readonly key: KeyObject;
  readonly publicKey: string;
  readonly kernel: MemoryKernel;
  readonly cards: Cards;
  readonly disk: Disk;
  readonly kept = new Set<string>();
  readonly parts: HostParts;
  #life: Life;
  #agent: Agent | undefined;
  #boots = 0;
  #offUntil = 0;
  #isForgetful = false;
  readonly #facts = new Map<string, object>();
  readonly memory: CardMemory = {
    recall: (card) => this.#facts.get(card),
    remember: (card, what) => {
      const { faults, random } = this.parts;
      if (faults.strikes("disk-full", random)) return false;
      this.#facts.set(card, what);
      return true;
    },
  };
  /** What the host's own clock is off by, ms. */
  #skew = 0;

  constructor(parts: HostParts) {
    const { name, time, faults, random, plant, cards, shelf } = parts;
    this.parts = parts;
    this.name = name;
    this.id = uuidOf("host", name);
    this.key = keyOf(this.id);
    this.publicKey = createPublicKey(this.key).export({ type: "spki", format: "pem" }).toString();
    this.disk = new Disk({ faults, random, plant });
    this.kernel = memoryKernel({ cards, bootId: this.#bootId(), sleep: time.sleep });
    this.cards = new Cards(this.kernel, shelf.owners);
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
    if (this.isUp || this.parts.time.elapsed < this.#offUntil) return;
    this.parts.log(`${this.name}: agent starts`);
    this.#life = new Life(this.parts.random);
    // Of a life that was cut short nothing is heard; of any other nothing may go wrong here.
    this.#run(this.#life).catch((error: unknown) => {
      this.parts.log(`${this.name}: agent could not start: ${String(error)}`);
      this.kill();
    });
  }

  /** kill -9. What the kernel and the guests do goes on. */
  kill(): void {
    this.#life.isOver = true;
    this.parts.gateway.cut(this.id, false);
  }

  /** The agent ends at one of its next calls to the outside. */
  killSoon(calls: number): void {
    this.#life.left = calls;
  }

  /** Power off for some ms: guests are gone, and so is what was not synced. */
  async powerOff(ms = 0): Promise<void> {
    this.kill();
    this.#offUntil = this.parts.time.elapsed + ms;
    this.#isForgetful = false;
    this.cards.plugged.clear();
    this.disk.powerOff();
    await this.kernel.reboot(this.#bootId());
  }

  /** The agent loses what it kept on disk, whole or in part, while it does not run. */
  loseDisk(): void {
    this.kill();
    this.#isForgetful = true;
    this.#facts.clear();
    this.parts.log(`${this.name}: lost ${this.disk.lose()}`);
  }

  /** The agent's sockets break off; half-open ones at one end only. */
  cut(isHalfOpen: boolean): void {
    this.parts.gateway.cut(this.id, isHalfOpen);
  }

  jumpClock(ms: number): void {
    this.#skew += ms;
  }

  /** The kernel tells of a change of its devices. */
  changed(): void {
    this.#agent?.changed();
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
    return uuidOf("boot", this.parts.name, String(this.#boots));
  }

  async #run(life: Life): Promise<void> {
    const agent = new Agent(this, life, () => this.#skew);
    this.#agent = agent;
    await agent.run();
  }
}
