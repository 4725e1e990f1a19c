import type { Benchmark, Figure } from "./figure.ts";
import { busiestSecond, StormFleet } from "./storm-fleet.ts";
import { seededRandom, VirtualClock } from "./virtual-clock.ts";

/** Agents, the time in which they first start, and how long a cloud is away, ms. */
const agents = 10_000;
const startMs = 120_000;
const awayMs = { short: 3 * 60_000, long: 10 * 60_000 };

/** From now until all are welcomed: seconds, and the busiest second of it. */
async function allBack(
  fleet: StormFleet,
  time: VirtualClock,
): Promise<{ readonly seconds: number; readonly busiest: number }> {
  const [begun, before] = [time.now(), fleet.connects.length];
  while (fleet.connected < agents) {
    if (time.now() - begun > 10 * 60_000) throw new Error(`${fleet.connected} agents are back`);
    await time.until(time.now() + 100);
  }
  const busiest = busiestSecond(fleet.connects.slice(before));
  return { seconds: (time.now() - begun) / 1000, busiest };
}

function figuresOf(what: string, { seconds, busiest }: Awaited<ReturnType<typeof allBack>>) {
  return [
    {
      name: `${agents} agents ${what}: busiest second`,
      value: busiest,
      unit: "connects",
      budget: { atMost: 400 },
      note: "real sessions and exchange in virtual time, any 1,000 ms",
    },
    {
      name: `${agents} agents ${what}: all back`,
      value: seconds,
      unit: "s",
      budget: { atMost: 90 },
    },
  ] satisfies Figure[];
}

/** Everybody loses the cloud at once: sockets that are cut, and a cloud that was away for long. */
export const storm: Benchmark = {
  name: "storm",
  about:
    "Real agent sessions and the real exchange in virtual time, with the gateway's limit on new sockets: all lose the cloud at once.",
  run: async (short) => {
    const random = seededRandom(1);
    const time = new VirtualClock();
    const fleet = new StormFleet(time, random);
    await fleet.start(agents, startMs);
    await time.until(startMs + 10_000);
    if (fleet.connected !== agents) throw new Error(`${fleet.connected} agents have started`);
    fleet.cut();
    await time.until(time.now() + 1);
    const cut = await allBack(fleet, time);
    fleet.away = true;
    fleet.cut();
    const began = fleet.connects.length;
    await time.until(time.now() + (short ? awayMs.short : awayMs.long));
    const during = busiestSecond(fleet.connects.slice(began));
    fleet.away = false;
    const back = await allBack(fleet, time);
    fleet.stop();
    await time.until(time.now() + 1000);
    const whole = { ...back, busiest: Math.max(during, back.busiest) };
    return [
      ...figuresOf("whose sockets are cut", cut),
      ...figuresOf("after minutes without a cloud", whole),
    ];
  },
};
