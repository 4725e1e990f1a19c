import type { ReportBody } from "./reconcile/report.ts";
import type { Session } from "./session/session.ts";
import { agentVersion } from "./version.ts";

/** What `gatehouse-agent status` shows. */
export interface AgentStatus {
  readonly host: string;
  readonly version: string;
  readonly bootId: string;
  readonly cloud: ReturnType<Session["state"]>;
  /** What was last told of each deployable, acknowledged or not. */
  readonly deployables: readonly ReportBody[];
}

/** The status from its parts. */
export function agentStatus(
  identity: { readonly host: string; readonly bootId: string },
  session: Session,
  bodies: ReadonlyMap<string, ReportBody>,
): AgentStatus {
  const deployables = [...bodies.values()].sort((one, other) =>
    one.deployable < other.deployable ? -1 : 1,
  );
  const { host, bootId } = identity;
  return { host, version: agentVersion, bootId, cloud: session.state(), deployables };
}
