import { accelerator } from "./accelerator.ts";
import { agent } from "./agent.ts";
import { bundles } from "./bundles.ts";
import { choice } from "./choice.ts";
import { claims } from "./claims.ts";
import { cost } from "./cost.ts";
import { dispatch } from "./dispatch.ts";
import type { Benchmark } from "./figure.ts";
import { handler } from "./handler.ts";
import { host } from "./host.ts";
import { ingest } from "./ingest.ts";
import { placement } from "./placement.ts";
import { storm } from "./storm.ts";
import { table } from "./table.ts";

/** In this order: the agent's benchmark runs the bundle that `bundles` builds. */
export const benchmarks: readonly Benchmark[] = [
  handler,
  claims,
  storm,
  choice,
  cost,
  accelerator,
  dispatch,
  ingest,
  bundles,
  agent,
  host,
  table,
  placement,
];
