import type { Faults } from "./faults.ts";
import type { Host } from "./host.ts";
import type { Mishap, MishapKind, Op } from "./ops.ts";
import type { Random, Streams } from "./random.ts";
import type { Time } from "./time.ts";

/** What misfortune works with. */
export interface MishapParts {
  readonly time: Time;
  readonly streams: Streams;
  readonly faults: Faults;
  readonly hosts: readonly Host[];
  readonly log: (what: string) => void;
}

type Act = (host: Host, random: Random, time: Time) => Promise<void> | void;

const failures = ["crc", "timeout", "incompatible", "wrong-read-back", "vanish"] as const;

const acts: Readonly<Record<MishapKind, Act>> = {
  "agent-crash": (host, random) => host.killSoon(random.below(60)),
  reboot: (host, random) => host.powerOff(random.of([5000, 60_000, 600_000]) * random.next()),
  "disk-loss": (host) => host.loseDisk(),
  "link-cut": (host) => host.cut(false),
  "link-half-open": (host) => host.cut(true),
  "program-failure": async (host, random) => {
    const { card, region } = regionOf(host, random);
    if (region === undefined) return;
    await host.kernel.failNext(card, region, random.of(failures), 1 + random.below(2));
  },
  "program-hang": async (host, random, time) => {
    const { card, region } = regionOf(host, random);
    if (region === undefined) return;
    await host.kernel.failNext(card, region, "hang");
    time.after(random.below(120_000), () => void host.kernel.endHang(card, region));
  },
  "card-vanish": async (host, random, time) => {
    const { card } = regionOf(host, random);
    await host.kernel.setPresent(card, false);
    host.changed();
    time.after(1000 + random.below(120_000), () => {
      void host.kernel.setPresent(card, true);
      host.changed();
    });
  },
  "card-degraded": async (host, random, time) => {
    const { card } = regionOf(host, random);
    await host.kernel.setFatalErrors(card, 3);
    host.changed();
    time.after(1000 + random.below(120_000), () => {
      void host.kernel.setFatalErrors(card, 0);
      host.changed();
    });
  },
  "clock-jump": (host, random) => host.jumpClock(random.below(1_200_000) - 600_000),
};

/** True for ops that nobody asks for. */
export function isMishap(op: Op): op is Mishap {
  return Object.hasOwn(acts, op.kind);
}

/** Something goes wrong on a host, in runs that have this kind of fault. */
export async function befall(op: Mishap, parts: MishapParts): Promise<void> {
  const { time, streams, faults, hosts, log } = parts;
  if (!faults.has(op.kind)) return;
  const random = streams(`op ${op.id}`);
  const host = random.of(hosts);
  log(`${host.name}: ${op.kind}`);
  await acts[op.kind](host, random, time);
}

function regionOf(host: Host, random: Random): { card: string; region: string | undefined } {
  const card = random.of(host.kernel.state().cards);
  const { regions } = card;
  return { card: card.id, region: regions.length === 0 ? undefined : random.of(regions).key };
}
