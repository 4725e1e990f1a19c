import { setTimeout as pause } from "node:timers/promises";
import type { Seeded } from "./seeded.ts";
import type { HostSite, Site } from "./site.ts";
import { tearMemory } from "./torn.ts";

/** What the nemesis did in a round, by name. */
export type Deeds = Map<string, number>;

/** Places at which an agent is killed; each is one await of its work. */
const agentPlaces = [
  "agent.step:program:before",
  "agent.step:program:after",
  "agent.step:scrub:before",
  "agent.step:scrub:after",
  "agent.step:plug:after",
  "agent.step:unplug:after",
  "agent.step:clean-handle:after",
  "agent.step:read-back:before",
  "agent.marks:before",
  "agent.marks:after",
  "agent.journal:before",
  "agent.journal:after",
];

/** What happens to the calls of a cloud for a while. */
const cloudTroubles = [
  "table.write=ambiguous@0.1,table.read=delay:50@0.1",
  "table.write=throttle@0.15,table.read=throttle@0.05",
  "table.write=conflict@0.2",
  "table.write=cut@0.1,table.read=cut@0.03",
  "table.write=delay:200@0.2",
  "cloud.message:after=error:LOST@0.1,cloud.tableChanged:before=error:LOST@0.2",
  "cloud.claims:after=error:LOST@0.15",
  "cloud.claims:after=kill@0.05*1,cloud.message:after=kill@0.02*1",
];

type Deed =
  | { readonly weight: number; readonly host: (host: HostSite, random: Seeded) => Promise<void> }
  | { readonly weight: number; readonly cloud: (site: Site, random: Seeded) => Promise<void> };

/** A process that is stopped hears nothing and then goes on as if no time had passed. */
const longestStopMs = 2500;

const deeds: Readonly<Record<string, Deed>> = {
  "kill-agent": { weight: 4, host: async (host, random) => await revive(host, random) },
  "kill-at": {
    weight: 5,
    host: async (host, random) => {
      host.fail(`${random.of(agentPlaces)}=kill@0.5*1`);
      await pause(500 + random.below(1500));
      host.fail("");
      if (!host.agent.isRunning) await revive(host, random);
    },
  },
  reboot: {
    weight: 2,
    host: async (host, random) => {
      await host.agent.kill();
      await pause(random.below(300));
      await host.start(true);
    },
  },
  tear: {
    weight: 2,
    host: async (host, random) => {
      await host.agent.kill();
      tearMemory(host.dir, random);
      await host.start();
    },
  },
  "stop-agent": {
    weight: 3,
    host: async ({ agent }, random) => await freeze(agent, random),
  },
  "full-disk": {
    weight: 3,
    host: async (host, random) => {
      host.fail("agent.disk=full");
      await pause(300 + random.below(1500));
      host.fail("");
    },
  },
  cut: {
    weight: 4,
    host: async ({ way }, random) => {
      way.set({ kind: "cut" });
      await pause(random.below(1500));
      way.set({ kind: "open" });
    },
  },
  reset: { weight: 3, host: async ({ way }) => await Promise.resolve(way.reset()) },
  deaf: {
    weight: 3,
    host: async ({ way }, random) => {
      way.set({ kind: "deaf", from: random.of(["host", "cloud"]) });
      await pause(500 + random.below(2000));
      // A stream that lost bytes in its middle is no TCP any more.
      way.reset();
      way.set({ kind: "open" });
    },
  },
  slow: {
    weight: 2,
    host: async ({ way }, random) => {
      way.set({ kind: "slow", ms: 50 + random.below(400) });
      await pause(1000 + random.below(1500));
      way.set({ kind: "open" });
    },
  },
  "kill-cloud": {
    weight: 2,
    cloud: async (site, random) => {
      await site.cloud.kill();
      await pause(random.below(500));
      await raise(site);
    },
  },
  "stop-cloud": {
    weight: 2,
    cloud: async ({ cloud }, random) => await freeze(cloud, random),
  },
  "trouble-cloud": {
    weight: 6,
    cloud: async (site, random) => {
      site.failCloud(random.of(cloudTroubles));
      await pause(500 + random.below(1500));
      site.failCloud("");
      if (!site.cloud.isRunning) await raise(site);
    },
  },
};

async function revive(host: HostSite, random: Seeded): Promise<void> {
  await host.agent.kill();
  await pause(random.below(500));
  await host.start();
}

async function freeze(process: Site["cloud"], random: Seeded): Promise<void> {
  process.signal("SIGSTOP");
  await pause(300 + random.below(longestStopMs));
  process.signal("SIGCONT");
}

/** A predecessor's ports and lock may be held for a moment longer. */
async function raise(site: Site): Promise<void> {
  for (let attempt = 0; attempt < 5; attempt += 1) {
    if (await site.startCloud()) return;
    await pause(300);
  }
  throw new Error("the cloud does not start any more");
}

/**
 * Does one thing after the other, two at a time, until `until` ms; never two to the same process,
 * since a host with two agents is no host.
 */
export async function rage(site: Site, random: Seeded, until: number): Promise<Deeds> {
  const done: Deeds = new Map();
  const busy = new Set<HostSite | Site>();
  const hand = async () => {
    while (performance.now() < until) {
      await pause(100 + random.below(700));
      const [name, deed] = choose(random);
      const target = "cloud" in deed ? site : random.of(site.hosts);
      if (busy.has(target)) continue;
      busy.add(target);
      done.set(name, (done.get(name) ?? 0) + 1);
      if ("cloud" in deed) await deed.cloud(site, random);
      else await deed.host(target as HostSite, random);
      busy.delete(target);
    }
  };
  await Promise.all([hand(), hand()]);
  return done;
}

function choose(random: Seeded): readonly [string, Deed] {
  const all = Object.entries(deeds);
  return random.of(all.flatMap((one) => Array.from({ length: one[1].weight }, () => one)));
}

/** Everything is well again: nothing fails, everybody runs, every way is open. */
export async function calmDown(site: Site): Promise<void> {
  site.failCloud("");
  if (site.cloud.isRunning) site.cloud.signal("SIGCONT");
  else await raise(site);
  for (const host of site.hosts) {
    host.fail("");
    host.way.set({ kind: "open" });
    if (host.agent.isRunning) host.agent.signal("SIGCONT");
    else if (!(await host.start())) throw new Error(`${host.name} does not start any more`);
  }
}
