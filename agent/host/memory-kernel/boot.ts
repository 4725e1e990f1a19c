import { probe } from "./binding.ts";
import { blankFunction, type CardDescription } from "./cards.ts";
import {
  type CardState,
  cardIdOf,
  type FunctionState,
  type KernelState,
  type RegionState,
} from "./state.ts";
import { releasePort, setNumVfs } from "./virtual-functions.ts";

/** A cold start: drivers probe, cards load their flash image, boot scripts make the VFs. */
export function bootState(cards: readonly CardDescription[], bootId: string): KernelState {
  const state: KernelState = {
    version: 1,
    bootId,
    next: 1,
    cards: cards.map(newCard),
    functions: [],
    holders: {},
    failures: [],
  };
  for (const card of state.cards) {
    state.functions.push(...newFunctions(state, card));
    for (const fn of state.functions.filter((one) => one.card === card.id)) probe(state, fn);
    runBootScripts(state, card);
  }
  return state;
}

function newCard(description: CardDescription): CardState {
  return {
    id: cardIdOf(description),
    description,
    present: true,
    broken: false,
    removing: false,
    autoprobe: true,
    managerState: "unknown",
    managerStatus: "",
    number: 0,
    offline: false,
    fatalErrors: 0,
    regions: newRegions(description),
  };
}

function newRegions(description: CardDescription): RegionState[] {
  const region = (key: string, loaded: string): RegionState => ({
    key,
    loaded,
    running: null,
    stuck: false,
    released: false,
    bound: true,
    number: 0,
    dirty: false,
  });
  if (description.model === "sriov") return [];
  if (description.model === "alveo") return [region("card", blankFunction)];
  return Array.from({ length: description.ports }, (_, port) =>
    region(`port${port}`, description.flashFunction),
  );
}

function newFunctions(state: KernelState, card: CardState): FunctionState[] {
  const { description } = card;
  const group = state.next++;
  const make = (change: Partial<FunctionState>): FunctionState => ({
    address: description.address,
    card: card.id,
    role: "pf",
    vf: -1,
    device: description.device,
    native: description.model === "dfl" ? "dfl-pci" : "sim-accel",
    driver: null,
    override: null,
    group,
    vfio: 0,
    leaving: false,
    dirty: false,
    ...change,
  });
  const bridge = make({
    address: description.rootPort,
    role: "bridge",
    device: "000c",
    native: "pcieport",
    group: state.next++,
  });
  if (description.model !== "alveo") return [bridge, make({})];
  const user = description.address.replace(/0$/, "1");
  return [
    bridge,
    make({ role: "management", native: "xclmgmt" }),
    make({
      role: "user",
      address: user,
      device: description.userDevice,
      native: "xocl",
      group: description.sharedGroup ? group : state.next++,
    }),
  ];
}

function runBootScripts(state: KernelState, card: CardState): void {
  const { description } = card;
  if (description.model === "alveo" || description.bootVfs === 0) return;
  const pf = state.functions.find((fn) => fn.card === card.id && fn.role === "pf");
  if (!pf) return;
  if (description.model === "dfl") {
    for (let port = 0; port < description.bootVfs; port++) releasePort(state, card, port);
  }
  setNumVfs(state, pf, String(description.bootVfs));
}
