import { isFault } from "#domain/faults";
import { encodeMessage } from "#protocol/wire/codec";
import type { Ack, Report } from "#protocol/wire/messages";
import type { Receipt } from "#protocol/wire/receipt";
import type { ReportBody } from "../reconcile/report.ts";

/** Where the outbox gets receipts from, and whom it tells that one is stored. */
export interface ReceiptSource {
  receiptOf(deployable: string): Receipt | undefined;
  acknowledged(deployable: string, receiptNumber: number): Promise<void>;
}

interface Entry {
  body: ReportBody;
  /** Number of the newest report of this body; 0 = never sent. */
  seq: number;
  carried: number | undefined;
  acked: boolean;
  sentAt: number;
}

/** Percent alone is told at most once in this time, ms (design §2: one write a second). */
const progressMs = 1000;

/**
 * The newest report of each deployable until it is acknowledged. Receipts ride along one at a time,
 * oldest first, so that the cloud stores every chain in order.
 */
export class Outbox {
  readonly #entries = new Map<string, Entry>();
  readonly #source: ReceiptSource;
  readonly #monotonic: () => number;
  #seq = 0;
  #line: { readonly epoch: number; readonly send: (text: string) => void } | undefined;

  constructor(source: ReceiptSource, monotonic: () => number) {
    this.#source = source;
    this.#monotonic = monotonic;
  }

  /** Takes what is; sends it when it says something new. */
  put(body: ReportBody): void {
    const entry = this.#entries.get(body.deployable);
    if (entry === undefined) {
      const fresh = { body, seq: 0, carried: undefined, acked: false, sentAt: 0 };
      this.#entries.set(body.deployable, fresh);
      this.#send(fresh);
      return;
    }
    if (this.#saysNothingNew(entry, body)) return;
    entry.body = body;
    this.#send(entry);
  }

  /** A session was welcomed: every deployable is reported once, under its epoch. */
  connected(epoch: number, send: (text: string) => void): void {
    this.#line = { epoch, send };
    for (const entry of this.#entries.values()) this.#send(entry);
  }

  disconnected(): void {
    this.#line = undefined;
  }

  /** Forgets what an ack of this epoch covers; any other ack is of no use. */
  async ack({ epoch, seq, deployable }: Ack): Promise<void> {
    if (epoch !== this.#line?.epoch) return;
    const entry = [...this.#entries.values()].find((one) => one.seq === seq && seq > 0);
    if (entry === undefined || entry.acked) return;
    if (deployable !== undefined && entry.body.deployable !== deployable) return;
    entry.acked = true;
    const { carried } = entry;
    if (carried === undefined) return;
    entry.carried = undefined;
    await this.#source.acknowledged(entry.body.deployable, carried);
    if (this.#source.receiptOf(entry.body.deployable) !== undefined) this.#send(entry);
  }

  /** Sends again what was not acknowledged for `ms`. */
  resend(ms: number): void {
    const now = this.#monotonic();
    for (const entry of this.#entries.values()) {
      const owed = !entry.acked || this.#source.receiptOf(entry.body.deployable) !== undefined;
      if (owed && now - entry.sentAt >= ms) this.#send(entry);
    }
  }

  /** Deployables whose newest report is not acknowledged. */
  pending(): readonly string[] {
    return [...this.#entries].filter(([, { acked }]) => !acked).map(([id]) => id);
  }

  #saysNothingNew({ body: last, sentAt }: Entry, body: ReportBody): boolean {
    if (JSON.stringify(last) === JSON.stringify(body)) return true;
    const { percent: _, ...was } = last;
    const { percent: __, ...is } = body;
    const onlyPercent = JSON.stringify(was) === JSON.stringify(is);
    return onlyPercent && this.#monotonic() - sentAt < progressMs;
  }

  #send(entry: Entry): void {
    entry.acked = false;
    if (this.#line === undefined) return;
    const receipt = this.#source.receiptOf(entry.body.deployable);
    this.#seq += 1;
    entry.seq = this.#seq;
    entry.carried = receipt?.body.number;
    entry.sentAt = this.#monotonic();
    this.#line.send(
      encodeReport({
        ...entry.body,
        type: "report",
        epoch: this.#line.epoch,
        seq: entry.seq,
        ...(receipt === undefined ? {} : { receipt }),
      }),
    );
  }
}

/** A host with very many plugged handles leaves out their XML, which the cloud has had before. */
function encodeReport(report: Report): string {
  try {
    return encodeMessage(report);
  } catch (error) {
    if (!isFault(error, "MESSAGE_TOO_LARGE")) throw error;
    const handles = Object.entries(report.handles).map(([name, { attachment, ...handle }]) => {
      if (attachment === undefined) return [name, handle] as const;
      const { xml: _, ...short } = attachment;
      return [name, { ...handle, attachment: short }] as const;
    });
    return encodeMessage({ ...report, handles: Object.fromEntries(handles) });
  }
}
