import type { Journal } from "../../../agent/memory/journal.ts";
import type { DeployableMarks } from "../../../agent/memory/marks.ts";
import type { Plugged } from "../cards.ts";
import type { Grounds } from "./grounds.ts";
import { short } from "./invariants.ts";

/** What an agent keeps of one deployable. */
export interface Records {
  readonly marks: DeployableMarks | undefined;
  readonly journal: Journal | undefined;
}

/** Judges what agents do to cards, at the moment before they do it. */
export class CardJudge {
  readonly #grounds: Grounds;
  /** Of each handle the highest fence of a claim that was plugged. */
  readonly #plugged = new Map<string, number>();

  constructor(grounds: Grounds) {
    this.#grounds = grounds;
  }

  /** A guest is about to get a handle; `records` are what the agent has on disk by then. */
  plugging(host: string, plug: Plugged, records: Records): void {
    const { account, cardsOf, fail } = this.#grounds;
    const { deployable: id, handle: name, claim, project, address } = plug;
    const where = `${name} of ${short(id)}`;
    this.#ownsToPlug(plug, where);
    const fence = account.ever(claim)?.fence ?? 0;
    const highest = this.#plugged.get(`${id}/${name}`) ?? 0;
    if (fence < highest) fail("I2", `${where} is plugged under fence ${fence} < ${highest}`);
    this.#plugged.set(`${id}/${name}`, Math.max(fence, highest));
    this.#isWritten(plug, fence, records);
    const left = cardsOf(host)?.leftAt(address) ?? [];
    const other = left.find((one) => one.project !== project);
    if (other !== undefined) {
      fail("tenant", `a guest of ${project} finds ${other.what} of ${other.project}`);
    }
  }

  /** Bits are about to go into a region; `functionId` says which. */
  programming(host: string, id: string, functionId: string, records: Records): void {
    const { account, cardsOf, fail } = this.#grounds;
    const row = account.deployables.get(id);
    if (row === undefined) return;
    if (records.journal?.operation === undefined) {
      fail("ahead", `${short(id)} is programmed and the agent's journal does not say so`);
    }
    const cards = cardsOf(host);
    for (const [name, { holder }] of Object.entries(row.handles)) {
      const guest = cards?.guestOf(row.id, name);
      if (guest !== undefined) {
        fail("I6", `${name} of ${short(row.id)} is programmed in a guest of ${guest.project}`);
      }
      const isDone = row.outcome.generation === row.imageGeneration;
      const isBound = holder !== undefined && !holder.binding;
      if (isDone && isBound && row.wish.image?.functionId !== functionId) {
        fail("I6", `${short(row.id)} gets other logic than ${short(holder.claim)} has`);
      }
    }
  }

  #isWritten({ handle: name, claim }: Plugged, fence: number, records: Records): void {
    const { fail } = this.#grounds;
    if ((records.marks?.fences[name] ?? 0) < fence) {
      fail("ahead", `${name} is plugged under fence ${fence}, which is not on disk`);
    }
    if (records.journal?.handles[name]?.plug?.claim !== claim) {
      fail("ahead", `${name} is plugged for ${short(claim)}, which the journal does not say`);
    }
  }

  #ownsToPlug({ deployable, handle, claim }: Plugged, where: string): void {
    const { account, fail } = this.#grounds;
    const row = account.deployables.get(deployable)?.handles[handle];
    const holder = row?.holder?.claim;
    if (row?.state !== "free" && (holder === undefined || holder === claim)) return;
    const whose = holder === undefined ? "nobody" : short(holder);
    fail("I1", `${where} goes to a guest of ${short(claim)} while ${whose} holds it`);
  }
}
