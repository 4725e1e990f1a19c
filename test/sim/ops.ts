import type { Streams } from "./random.ts";

/** What clients, operators and misfortune do, with how often. */
const weights = {
  claim: 18,
  repeat: 4,
  release: 20,
  get: 14,
  list: 3,
  attach: 13,
  detach: 3,
  program: 3,
  renew: 2,
  foreign: 2,
  "arq-create": 4,
  "arq-bind": 5,
  "arq-unbind": 1.5,
  "arq-delete": 3,
  disable: 1,
  enable: 1.5,
  drain: 0.3,
  activate: 0.7,
  takeover: 1,
  retire: 0.1,
  upload: 1,
  tag: 0.5,
  "agent-crash": 1.2,
  reboot: 0.5,
  "disk-loss": 0.25,
  "link-cut": 0.8,
  "link-half-open": 0.4,
  "program-failure": 1,
  "program-hang": 0.25,
  "card-vanish": 0.5,
  "card-degraded": 0.3,
  "clock-jump": 0.3,
} as const;
export type OpKind = keyof typeof weights;

/** One thing that happens `at` ms of a run; its own numbers follow from its id. */
export interface Op {
  readonly id: number;
  readonly at: number;
  readonly kind: OpKind;
}

/** What nobody asks for. */
export type MishapKind = Extract<
  OpKind,
  | "agent-crash"
  | "reboot"
  | "disk-loss"
  | "link-cut"
  | "link-half-open"
  | "program-failure"
  | "program-hang"
  | "card-vanish"
  | "card-degraded"
  | "clock-jump"
>;

/** Something that a client or an operator does. */
export type ClientOp = Op & { readonly kind: Exclude<OpKind, MishapKind> };
/** Something that happens to them. */
export type Mishap = Op & { readonly kind: MishapKind };

const kinds = Object.keys(weights) as readonly OpKind[];
const total = kinds.reduce((sum, kind) => sum + weights[kind], 0);

function kindOf(share: number): OpKind {
  let rest = share * total;
  return kinds.find((kind) => (rest -= weights[kind]) < 0) ?? "get";
}

/** The list of everything that will be tried in a run; some seeds are in a hurry. */
export function opsOf(streams: Streams, count: number): readonly Op[] {
  const random = streams("ops");
  const gap = 100 + random.below(900);
  let at = 10_000;
  return Array.from({ length: count }, (_, id): Op => {
    at += Math.floor(2 * gap * random.next());
    return { id, at, kind: kindOf(random.next()) };
  });
}
