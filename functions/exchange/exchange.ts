import { createPublicKey } from "node:crypto";
import { type Deployable, isAllocating } from "#domain/deployable";
import { Fault } from "#domain/faults";
import type { Host } from "#domain/host";
import { publicKeyText } from "#protocol/http/receipts";
import { deployableId, deviceId } from "#protocol/uuid";
import type { AgentMessage, CloudMessage, Inventory, Ping, Report } from "#protocol/wire/messages";
import { receiptDigest, receiptVerifies } from "#protocol/wire/receipt";
import { deployablesOf } from "#store/deployables";
import { changeHost, noteInventory, readBeat, readHost } from "#store/hosts";
import { applyInventory, collectParts, type FoundCard } from "#store/inventories";
import { notePing } from "#store/pings";
import type { StoredReceipt } from "#store/receipts";
import { recordReport } from "#store/reports";
import type { Store } from "#store/store";
import { openCards, settleCard } from "./cards.ts";
import { desiredOf, type Wishing } from "./desired.ts";
import { openSession } from "./hello.ts";

/** Who sends: the host proven by its token, its key, and the session its socket has opened. */
export interface Session {
  readonly host: string;
  readonly publicKey: string;
  readonly epoch: number;
  readonly connection?: string;
}

/** What a message led to. */
export interface Exchanged {
  readonly replies: readonly CloudMessage[];
  /** The session that a `hello` opened. */
  readonly epoch?: number;
  /** A socket that belongs to an older session now. */
  readonly superseded?: string;
}

/**
 * One message of an agent and what the cloud answers: the same for sockets and polls (design §6).
 * Throws SUPERSEDED for a session that is not the newest, and the faults of each message.
 */
export async function exchange(
  wishing: Wishing,
  session: Session,
  message: AgentMessage,
): Promise<Exchanged> {
  switch (message.type) {
    case "hello":
      return await greet(wishing, session, message);
    case "inventory":
      return await takeInventory(wishing, session, message);
    case "report":
      return await takeReport(wishing, session, message);
    case "card-report":
      await heard(wishing, session, message.epoch);
      await settleCard(wishing.store, session.host, message);
      return { replies: [] };
    case "ping":
      return await answerPing(wishing, session, message);
    case "error":
      // The agent could not make sense of something of ours: nothing to answer, much to find out.
      console.error(JSON.stringify({ level: "error", host: session.host, agent: message.error }));
      return { replies: [] };
    default:
      return message satisfies never;
  }
}

async function greet(
  { store }: Wishing,
  session: Session,
  message: Extract<AgentMessage, { type: "hello" }>,
): Promise<Exchanged> {
  const { welcome, deployables, superseded } = await openSession(store, session, message);
  return {
    replies: [welcome, ...(await openCards(store, session.host, deployables))],
    epoch: welcome.epoch,
    ...(superseded === undefined ? {} : { superseded }),
  };
}

/** Only the newest session is heard. */
async function heard({ store }: Wishing, session: Session, epoch: number): Promise<void> {
  checkSpoken(session, epoch);
  const beat = await readBeat(store, session.host);
  if (beat.epoch !== epoch) {
    throw new Fault("SUPERSEDED", `the newest session of this host is ${beat.epoch}`);
  }
}

/** A socket speaks for the session that it opened. */
function checkSpoken(session: Session, epoch: number): void {
  if (session.connection === undefined || session.epoch === epoch) return;
  throw new Fault("SUPERSEDED", `this socket opened session ${session.epoch}`);
}

async function takeInventory(
  wishing: Wishing,
  session: Session,
  message: Inventory,
): Promise<Exchanged> {
  await heard(wishing, session, message.epoch);
  const { store } = wishing;
  const { id, part, of, devices, epoch } = message;
  const whole = await collectParts(store, { host: session.host, id, part, of, devices });
  if (whole === undefined) return { replies: [{ type: "ack", epoch, seq: 0 }] };
  const host = await readHost(store, session.host);
  const cards = merged(whole as Inventory["devices"]);
  await applyInventory(
    store,
    host,
    cards.map((card) => cardOf(session.host, card)),
  );
  const noted = (known: Host) => ({ ...known, inventoryHash: message.hash });
  await changeHost(store, session.host, noted, [noteInventory(session.host, message.hash)]);
  // Whose end was told before this inventory was here has to tell it again.
  const open = await openCards(store, host.id, await deployablesOf(store, host.id));
  return { replies: [{ type: "ack", epoch, seq: 0 }, ...open] };
}

/** A card too large for one frame comes as several entries of one `cardId`. */
function merged(devices: Inventory["devices"]): Inventory["devices"] {
  const entries = Map.groupBy(devices, (device) => device.cardId);
  return [...entries.values()].flatMap(([first, ...others]) =>
    first === undefined
      ? []
      : [{ ...first, deployables: [first, ...others].flatMap((one) => one.deployables) }],
  );
}

/** Ids follow from the host and the card, never from what an agent says they are. */
function cardOf(host: string, device: Inventory["devices"][number]): FoundCard {
  const { cardId } = device;
  return {
    ...device,
    id: deviceId(host, cardId),
    deployables: device.deployables.map((one) => ({
      ...one,
      id: deployableId(host, cardId, one.region),
    })),
  };
}

async function takeReport(wishing: Wishing, session: Session, message: Report): Promise<Exchanged> {
  await heard(wishing, session, message.epoch);
  const receipt = message.receipt && provenReceipt(session, message);
  await recordReport(wishing.store, {
    host: session.host,
    deployable: message.deployable,
    report: message,
    percent: message.percent,
    receipt,
  });
  const { deployable, epoch, seq } = message;
  return { replies: [{ type: "ack", deployable, epoch, seq }] };
}

function provenReceipt(session: Session, { receipt, deployable }: Report): StoredReceipt {
  if (receipt === undefined || receipt.body.deployable !== deployable) {
    throw new Fault("INVALID_MESSAGE", "a receipt speaks of its report's deployable", {
      about: "report",
      field: "receipt.body.deployable",
    });
  }
  if (!receiptVerifies(receipt, createPublicKey(session.publicKey))) {
    throw new Fault("SIGNATURE_INVALID", "the receipt is not signed by this host's key", {
      about: "report",
      field: "receipt.signature",
    });
  }
  const { body, signature } = receipt;
  return {
    body,
    signature,
    digest: receiptDigest(body),
    publicKey: publicKeyText(session.publicKey),
  };
}

async function answerPing(wishing: Wishing, session: Session, message: Ping): Promise<Exchanged> {
  const { store } = wishing;
  const { host } = session;
  const { epoch, inventoryHash } = message;
  checkSpoken(session, epoch);
  const isKnown = await notePing(store, { host, epoch, inventoryHash });
  const deployables = await newsFor(store, host, message);
  const stale = deployables.filter((one) => isStale(one, message));
  const wishes = await Promise.all(stale.map(async (one) => await desiredOf(wishing, one)));
  const pong: CloudMessage = {
    type: "pong",
    serverTime: store.now(),
    stale: stale.map((one) => one.id),
    // It was lost on its way, or overtaken by an older one.
    ...(isKnown ? {} : { wants: ["inventory"] }),
  };
  return { replies: [pong, ...wishes, ...(await openCards(store, host, deployables))] };
}

/**
 * The deployables of a host when there is something to tell of them. Most pings find nothing, so a
 * cheap read that may be a moment old comes first: what it misses, the next ping finds.
 */
async function newsFor(store: Store, host: string, ping: Ping): Promise<readonly Deployable[]> {
  const recent = await deployablesOf(store, host, "recent");
  const isNews = recent.some((one) => isStale(one, ping) || one.cardOperation !== undefined);
  return isNews ? await deployablesOf(store, host) : [];
}

function isStale(deployable: Deployable, { digest }: Ping): boolean {
  const { id, present, revision } = deployable;
  return present && !isAllocating(deployable) && digest[id] !== revision;
}
