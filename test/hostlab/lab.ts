import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PutObjectCommand } from "@aws-sdk/client-s3";
import type { ClaimView } from "#protocol/http/claims";
import type { DeployableView } from "#protocol/http/deployables";
import type { ImageView } from "#protocol/http/images";
import type { Api } from "../../localstack/hosts/api.ts";
import type { TourContext } from "../../localstack/tour/steps.ts";
import { type Offline, startOffline } from "../offline/support.ts";
import { type Guest, startGuest } from "./guest.ts";
import { gbsOf, words } from "./images.ts";

const root = join(import.meta.dirname, "../..");
const node = join(root, `node_modules/node-linux-${process.arch}/bin/node`);
const agentBundle = join(root, ".build/agent/agent.cjs");

/** Slots of the lab's machine (guest.ts). */
export const slots = {
  wholeCard: "0000:01:00.0",
  nvme: "0000:02:00.0",
  pair: "0000:03:00.0",
  pairOther: "0000:03:00.1",
  twoPorts: "0000:04:00.0",
} as const;

/** A guest with the real drivers, the real agent in it, and the offline cloud outside. */
export interface Lab {
  readonly guest: Guest;
  readonly offline: Offline;
  readonly api: Api;
  readonly tour: TourContext;
  /** Starts playing the hardware of the DFL cards and lets dfl-pci find them. */
  cardsUp(): Promise<void>;
  /** Starts the agent, and its privileged half unless that runs; the agent's process id. */
  startAgent(): Promise<number>;
  /** Waits for the agent's end after a signal. */
  stopAgent(signal?: "TERM" | "KILL"): Promise<void>;
  /** Stops the agent's process in its tracks, or lets it go on. */
  pauseAgent(pause: boolean): Promise<void>;
  /** What the agent logged. */
  log(): Promise<string>;
  close(): Promise<void>;
}

const helperBundle = join(root, ".build/agent/helper.cjs");
const config = "/run/state/config.json";
const helperSocket = "/run/helper.sock";

/** Among the programs of the machine outside, with a folder that can be written. */
export const inside = "chroot /host /usr/bin/env TMPDIR=/run/tmp HOME=/run/tmp";

/** The network process: nobody, without any capability. */
const nobody = 65534;
const dropAll = "--bounding-set=-all --inh-caps=-all --ambient-caps=-all --no-new-privs";
const unprivileged = `/usr/bin/setpriv --reuid=${nobody} --regid=${nobody} --clear-groups ${dropAll}`;

/** The other one: root with what its unit leaves it (agent/packaging/gatehouse-helper.service). */
const privileged = dropAll.replace("-all", `-all,${capabilities()}`);

function capabilities(): string {
  const unit = readFileSync(join(root, "agent/packaging/gatehouse-helper.service"), "utf8");
  const [, names] = /^CapabilityBoundingSet=(.+)$/m.exec(unit) ?? [];
  if (names === undefined) throw new Error("the helper's unit bounds no capabilities");
  return names.replaceAll("CAP_", "+").replaceAll(" ", ",").toLowerCase();
}

async function startHelper(guest: Guest): Promise<void> {
  const { code } = await guest.run(`kill -0 $(cat /tmp/helper.pid)`);
  if (code === 0) return;
  const run = `${inside} /usr/bin/setpriv ${privileged} ${node} ${helperBundle} --config ${config}`;
  await guest.sh(`rm -f /host${helperSocket}; mkdir -p /host/run/gatehouse-helper
    ${run} >> /tmp/agent.log 2>&1 < /dev/null & echo $! > /tmp/helper.pid
    until [ -S /host${helperSocket} ]; do sleep 0.1; kill -0 $(cat /tmp/helper.pid) || { cat /tmp/agent.log; exit 1; }; done
    chown ${nobody} /host${helperSocket}; stat -c %a /host${helperSocket} | grep -q 600`);
}

const cards = [
  { match: "1234:1111", kind: "FPGA", vendor: "intel", product: "lab-dfl", driver: "dfl" },
  { match: "1b36:0010", kind: "SSD", vendor: "qemu", product: "nvme" },
  { match: "1b36:0005", kind: "FPGA", vendor: "qemu", product: "testdev", driver: "pci" },
];

/** Boots the guest and starts a cloud; the agent has joined and does not run yet. */
export async function startLab(): Promise<Lab> {
  const [guest, offline] = await Promise.all([startGuest(), startOffline()]);
  const { cloud } = offline;
  const api = offline.as("acme");
  let agent = 0;
  const lab: Lab = {
    guest,
    offline,
    api,
    tour: { api, s3: offline.s3, bucket: cloud.bucket, project: "acme", say: () => undefined },
    cardsUp: () => cardsUp(guest),
    async startAgent() {
      await relays(guest, [cloud.url, cloud.bucketUrl]);
      await guest.sh(`mkdir -p /host/run/agent /host/run/cdi /host/run/qmp
        chown ${nobody} /host/run/agent /host/run/cdi`);
      await startHelper(guest);
      const run = `${inside} ${unprivileged} ${node} ${agentBundle} run --config ${config}`;
      await guest.sh(`chown -R ${nobody}:${nobody} /host/run/state/agent
        ${run} >> /tmp/agent.log 2>&1 < /dev/null & echo $! > /tmp/agent.pid`);
      agent = Number(await guest.sh("cat /tmp/agent.pid"));
      return agent;
    },
    async stopAgent(signal = "TERM") {
      await guest.sh(`kill -${signal} ${agent}; while [ -e /proc/${agent} ]; do sleep 0.1; done`);
    },
    async pauseAgent(pause) {
      await guest.sh(`kill -${pause ? "STOP" : "CONT"} ${agent}`);
    },
    log: () => guest.sh("cat /tmp/agent.log"),
    async close() {
      await offline.close();
      await guest.stop();
    },
  };
  try {
    await joinCloud(lab);
  } catch (error) {
    await lab.close();
    throw error;
  }
  return lab;
}

async function joinCloud({ guest, offline }: Lab): Promise<void> {
  const { cloud } = offline;
  mkdirSync(join(guest.state, "blank"));
  writeFileSync(join(guest.state, "blank", "lab.gbs"), gbsOf(words.blank));
  const settings = {
    url: cloud.url,
    stateDir: "/run/state/agent",
    socket: "/run/agent/agent.sock",
    helper: helperSocket,
    scanSeconds: 1,
    trustedKeys: "/run/state/keys",
    requireSignature: false,
    imageOrigins: [new URL(cloud.bucketUrl).origin],
    cdiDirectory: "/run/cdi",
    qmpDirectory: "/run/qmp",
    blankImages: "/run/state/blank",
    cards,
  };
  writeFileSync(join(guest.state, "config.json"), JSON.stringify(settings));
  await guest.sh(
    "cd /host/run/state; chmod 755 . blank; chown 0:0 config.json; chmod 644 config.json blank/lab.gbs",
  );
  const { joinToken } = await offline.as("ops")<{ joinToken: string }>("POST", "/v1/hosts", {
    name: "lab",
  });
  await relays(guest, [cloud.url, cloud.bucketUrl]);
  const run = `${inside} ${node} ${agentBundle} join --config ${config}`;
  await guest.sh(`${run} --url ${cloud.url} --token ${joinToken} --name lab`);
}

/** The offline cloud listens on the loopback of the machine outside; here its ports lead there. */
async function relays(guest: Guest, urls: readonly string[]): Promise<void> {
  for (const url of urls) {
    const { port } = new URL(url);
    await guest.sh(
      `grep -q ":$(printf %04X ${port}) " /proc/net/tcp || { guestd relay ${port} 10.0.2.2 ${port} > /dev/null 2>&1 < /dev/null & sleep 0.3; }`,
    );
  }
}

async function cardsUp(guest: Guest): Promise<void> {
  for (const [address, ports] of [
    [slots.wholeCard, 1],
    [slots.twoPorts, 2],
  ] as const) {
    const device = `/sys/bus/pci/devices/${address}`;
    await guest.sh(
      `echo 1 > ${device}/enable; dflsim ${device}/resource0 init ${ports}
       setsid dflsim ${device}/resource0 run ${ports} > /dev/null 2>&1 < /dev/null &`,
    );
  }
  await guest.sh(`sleep 0.3; echo "1234 1111" > /sys/bus/pci/drivers/dfl-pci/new_id
    until [ -e /dev/dfl-port.2 ]; do sleep 0.1; done`);
}

/** Uploads a GBS with this last word and waits until it is active. */
export async function uploaded(lab: Lab, word: number, shell?: string): Promise<ImageView> {
  const Key = `images/acme/${word.toString(16)}-${shell ?? "lab"}.gbs`;
  const { offline, api } = lab;
  await offline.s3.send(
    new PutObjectCommand({
      Bucket: offline.cloud.bucket,
      Key,
      Body: gbsOf(word, shell),
      Tagging: "FPGA=true&vendor=intel&type=crypto",
    }),
  );
  return await eventually(`image ${Key}`, async () => {
    const { items } = await api<{ items: ImageView[] }>("GET", "/v1/images?limit=200");
    return items.find((one) => one.objectKey === Key && one.state === "active");
  });
}

/** Longest wait for anything; Node is twenty times slower in the guest. */
const patienceMs = 60_000;

/** Looks until there is something; fails with what was waited for. */
export async function eventually<Found>(
  what: string,
  look: () => Promise<Found | undefined>,
  ms: number = patienceMs,
): Promise<Found> {
  const end = Date.now() + ms;
  let last: Found | undefined;
  while (last === undefined) {
    last = await look();
    if (last !== undefined) return last;
    if (Date.now() > end) throw new Error(`waited ${ms / 1000} s in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return last;
}

/** The deployables of a card as the cloud knows them, once `fits` holds for all. */
export async function deployablesAt(
  { api }: Lab,
  address: string,
  fits: (one: DeployableView) => boolean = () => true,
): Promise<readonly DeployableView[]> {
  return await eventually(`deployables at ${address}`, async () => {
    const { items } = await api<{ items: DeployableView[] }>("GET", "/v1/deployables?limit=200");
    const here = items.filter((one) => one.address === address);
    return here.length > 0 && here.every(fits) ? here : undefined;
  });
}

/** Waits until a claim is as asked for. */
export async function claimWhen(
  { api }: Lab,
  id: string,
  what: string,
  fits: (claim: ClaimView) => boolean,
): Promise<ClaimView> {
  let seen: ClaimView | undefined;
  try {
    return await eventually(what, async () => {
      seen = await api<ClaimView>("GET", `/v1/claims/${id}`);
      return fits(seen) ? seen : undefined;
    });
  } catch {
    throw new Error(`the claim was never ${what}: ${JSON.stringify(seen)}`);
  }
}
