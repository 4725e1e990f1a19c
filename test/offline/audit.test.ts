import { afterAll, beforeAll, expect, test } from "vitest";
import type { ClaimView } from "#protocol/http/claims";
import type { DeviceView } from "#protocol/http/deployables";
import type { ImageView } from "#protocol/http/images";
import { type Api, ApiError } from "../../localstack/hosts/api.ts";
import type { SimulatedHost } from "../../localstack/hosts/simulated-host.ts";
import { attached, bound, claimOne, until } from "../../localstack/tour/steps.ts";
import { createShell } from "../cli/shell.ts";
import { allFree, claimWhen, deployables, stepsOf } from "./settling.ts";
import { type Offline, startOffline } from "./support.ts";
import { activeImage } from "./uploads.ts";

let offline: Offline;
let admin: Api;
let host: SimulatedHost;
let image: ImageView;

const intel = "CUSTOM_FPGA_INTEL_VF";
/** Two cards of two regions each, and one of four virtual functions. */
const deployableCount = 5;
const start = async () => await offline.addHost("host-1", { dfl: 2, sriov: 1 });

beforeAll(async () => {
  offline = await startOffline();
  admin = offline.as("ops");
  host = await start();
  image = await activeImage(offline, "ops", "audited", { visibility: "public" });
  await allFree(admin, deployableCount);
});

afterAll(async () => {
  await offline.close();
});

interface Verdict {
  readonly kept: boolean;
  readonly judged: number;
  readonly unjudged: number;
  readonly gaps: number;
  readonly claims: number;
  readonly receipts: number;
  readonly open: readonly object[];
  readonly violations: readonly object[];
}

/** What `gatehouse audit` says of this cloud. */
async function audit(...flags: readonly string[]): Promise<Verdict & { readonly code: number }> {
  const env = { GATEHOUSE_URL: offline.cloud.url, GATEHOUSE_PROJECT: "ops" };
  const { code, out, err } = await createShell({ env }).run("audit", "--json", ...flags);
  if (out === "") throw new Error(err);
  return { ...(JSON.parse(out) as Verdict), code };
}

/** Clients of four projects race for all handles; each winner waits for its bind and gives back. */
async function race(request: object): Promise<number> {
  const apis = ["a", "b", "c", "d"].map((project) => offline.as(project, "member"));
  const won = await Promise.all(
    Array.from({ length: 16 }, async (_, index) => {
      const api = apis[index % apis.length] ?? admin;
      try {
        return await claimOne(stepsOf(offline, api), request);
      } catch (error) {
        if (error instanceof ApiError && error.code === "NO_CAPACITY") return undefined;
        throw error;
      }
    }),
  );
  const claims = won.filter((claim) => claim !== undefined);
  await Promise.all(claims.map(async ({ id }) => await bound(stepsOf(offline, admin), id)));
  await Promise.all(claims.map(async ({ id }) => await admin("DELETE", `/v1/claims/${id}`)));
  return claims.length;
}

/** A program that the card refuses, so that its bind fails at once. */
async function failingBind(): Promise<void> {
  const card = (await deployables(admin)).find(({ resourceClass }) => resourceClass === intel);
  const { cardId } = await admin<DeviceView>("GET", `/v1/devices/${card?.device}`);
  await host.kernel.failNext(cardId, card?.region ?? "", "incompatible", 1);
  const claim = await claimOne(stepsOf(offline, admin), { deployable: card?.id, image: image.id });
  await claimWhen(admin, claim.id, ({ state }) => state === "BindFailed");
  await admin("DELETE", `/v1/claims/${claim.id}`);
}

/** The agent goes away with a card in a guest and a bind under way, and comes back. */
async function loseAgent(): Promise<void> {
  const held: ClaimView = await claimOne(stepsOf(offline, admin), { image: image.id });
  await bound(stepsOf(offline, admin), held.id);
  await attached(stepsOf(offline, admin), held.id);
  await host.stop();
  const waiting = await claimOne(stepsOf(offline, admin), { resourceClass: intel });
  host = await start();
  await bound(stepsOf(offline, admin), waiting.id);
  for (const { id } of [held, waiting]) await admin("DELETE", `/v1/claims/${id}`);
}

test("after races, failed binds and a lost agent the audit finds every promise kept", async () => {
  const classes = [intel, "CUSTOM_FPGA_INSPUR_VF"];
  const won = await Promise.all(
    classes.map(async (resourceClass) => await race({ resourceClass })),
  );
  await allFree(admin, deployableCount);
  await failingBind();
  await loseAgent();
  await allFree(admin, deployableCount);
  const ended = won.reduce((sum, count) => sum + count, 3);
  // The audit is written behind the table: it is whole when nothing is open in it any more.
  const verdict = await until("the whole history to be told", async () => {
    const found = await audit();
    return found.open.length === 0 && found.claims === ended ? found : undefined;
  });
  expect(verdict).toMatchObject({ kept: true, code: 0, violations: [], unjudged: 0, gaps: 0 });
  expect(verdict.judged).toBeGreaterThan(100);
  expect(verdict.receipts).toBeGreaterThan(deployableCount);
  const [one] = await deployables(admin);
  const part = await audit("--deployable", one?.id ?? "");
  expect(part).toMatchObject({ kept: true, open: [] });
  expect(part.judged).toBeGreaterThan(0);
  expect(part.judged).toBeLessThan(verdict.judged);
});
