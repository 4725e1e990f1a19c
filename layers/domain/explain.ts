import { type Deployable, stateOf } from "./deployable.ts";
import { capacity, misfits, obstacles, type Requirement, rank } from "./matching.ts";

/** Why one deployable was, was not or could not be chosen. */
export interface Verdict {
  readonly deployable: string;
  readonly host: string;
  readonly hostName: string;
  readonly resourceClass: string;
  readonly state: string;
  /** `fits` = could be granted now; `busy` = would fit later; `unsuitable` = never as it is. */
  readonly verdict: "fits" | "busy" | "unsuitable";
  readonly rank?: number;
  readonly free: number;
  readonly reasons: readonly string[];
}

export interface Explanation {
  readonly summary: string;
  readonly fits: number;
  readonly busy: number;
  readonly unsuitable: number;
  readonly deployables: readonly Verdict[];
}

/** Judges every given deployable; best candidates first, then the busy, then the unsuitable. */
export function explain(deployables: readonly Deployable[], need: Requirement): Explanation {
  const order = { fits: 0, busy: 1, unsuitable: 2 };
  const verdicts = deployables
    .map((deployable) => judge(deployable, need))
    .toSorted(
      (a, b) =>
        order[a.verdict] - order[b.verdict] ||
        (a.rank ?? 0) - (b.rank ?? 0) ||
        a.deployable.localeCompare(b.deployable),
    );
  const count = (verdict: Verdict["verdict"]) =>
    verdicts.filter((one) => one.verdict === verdict).length;
  const [fits, busy, unsuitable] = [count("fits"), count("busy"), count("unsuitable")];
  const summary = `${deployables.length} looked at: ${fits} can serve now, ${busy} would fit but are not free, ${unsuitable} cannot serve this`;
  return { summary, fits, busy, unsuitable, deployables: verdicts };
}

/** What each rank means (matching.ts). */
const whyImage = ["the wanted image is loaded", "it is blank", "it is free"];
const whyFree = ["it is blank", "it is free"];

function judge(deployable: Deployable, need: Requirement): Verdict {
  const unsuitable = misfits(deployable, need);
  const busy = obstacles(deployable, need);
  const common = {
    deployable: deployable.id,
    host: deployable.host,
    hostName: deployable.hostName,
    resourceClass: deployable.resourceClass,
    state: stateOf(deployable).state,
  };
  if (unsuitable.length > 0)
    return { ...common, verdict: "unsuitable", free: 0, reasons: unsuitable };
  if (busy.length > 0) return { ...common, verdict: "busy", free: 0, reasons: busy };
  const place = rank(deployable, need);
  const why = need.image === undefined ? whyFree[place] : whyImage[place];
  return {
    ...common,
    verdict: "fits",
    rank: place,
    free: capacity(deployable),
    reasons: why === undefined ? [] : [why],
  };
}
