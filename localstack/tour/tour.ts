import type { ClaimView } from "#protocol/http/claims";
import type { DeployableView } from "#protocol/http/deployables";
import type { ImageView } from "#protocol/http/images";
import { compressionGbs, cryptoGbs, vectorXclbin } from "./bitstreams.ts";
import {
  attached,
  bound,
  claimOne,
  findFree,
  finished,
  look,
  newestReceipt,
  receiptAfter,
  refused,
  type TourContext,
  until,
  upload,
} from "./steps.ts";

/**
 * The whole job once, on generated but format-true bitstreams: upload, ingest, traits, claim,
 * program, read back, attach, release, scrub receipt; then a developer's second program, an Alveo
 * card and a plain SR-IOV card. Every line says what the cards say. Throws when one step fails.
 */
export async function runTour(tour: TourContext): Promise<void> {
  const region = await findFree(tour, "Intel region", isIntelRegion);
  const image = await ingest(tour, region);
  await intelCard(tour, region, image);
  await alveoCard(tour);
  await virtualFunction(tour);
}

const isIntelRegion = (one: DeployableView) => one.vendor === "intel" && one.programmable;
const isAlveo = (one: DeployableView) => one.vendor === "xilinx" && one.programmable;
const isFixedFunction = (one: DeployableView) => !one.programmable;

async function ingest(tour: TourContext, region: DeployableView): Promise<ImageView> {
  const bitstream = cryptoGbs(region.interfaceId ?? "");
  tour.say(
    `upload   ${bitstream.file}, ${bitstream.bytes.length} bytes, tagged FPGA, intel, crypto`,
  );
  const image = await upload(tour, bitstream);
  tour.say(`ingest   active, sha256 ${short(image.sha256)}, md5 ${short(image.md5)}`);
  tour.say(`traits   ${image.traits.join(" ")} on ${region.resourceClass}`);
  return image;
}

async function intelCard(
  tour: TourContext,
  region: DeployableView,
  image: ImageView,
): Promise<void> {
  const request = { image: image.id, resourceClass: region.resourceClass, instance: "tour-guest" };
  const claim = await claimOne(tour, request);
  const id = claim.deployable ?? "";
  tour.say(`claim    ${claim.id} on ${claim.hostName}, ${claim.pciAddress}, fence ${claim.fence}`);
  if (claim.operation !== undefined) await finished(tour, claim.operation);
  await bound(tour, claim.id);
  const card = await look(tour, id);
  tour.say(
    `program  the card says function ${card.loaded.functionId}, image ${short(card.loaded.sha256)}`,
  );
  expect(card.loaded.functionId === image.functionId, "the card must say the image's function");
  const guest = await attached(tour, claim.id);
  tour.say(`attach   ${guest.attachment?.xml}`);
  await developersLoop(tour, claim, region);
  await giveBack(tour, claim, id);
}

/** New Verilog, same claim: refused while a guest has it, done after a detach. */
async function developersLoop(
  tour: TourContext,
  claim: ClaimView,
  region: DeployableView,
): Promise<void> {
  const next = await upload(tour, compressionGbs(region.interfaceId ?? ""));
  const program = { image: next.id };
  const code = await refused(tour.api("POST", `/v1/claims/${claim.id}/program`, program));
  tour.say(`reprogram while a guest has it: ${code}`);
  await tour.api("POST", `/v1/claims/${claim.id}/detach`);
  await until("the handle to be unplugged", async () => {
    const { plugged } = await tour.api<ClaimView>("GET", `/v1/claims/${claim.id}`);
    return plugged ? undefined : true;
  });
  const started = await tour.api<{ id: string }>("POST", `/v1/claims/${claim.id}/program`, program);
  await finished(tour, started.id);
  const card = await look(tour, claim.deployable ?? "");
  tour.say(`reprogram after detach: the card says function ${card.loaded.functionId}`);
  expect(card.loaded.functionId === next.functionId, "the card must say the new function");
}

async function giveBack(tour: TourContext, claim: ClaimView, id: string): Promise<void> {
  const before = await newestReceipt(tour, id);
  await tour.api("DELETE", `/v1/claims/${claim.id}`);
  const receipt = await receiptAfter(tour, id, "scrub", before);
  const offered = await until("the deployable to be offered again", async () => {
    const card = await look(tour, id);
    return card.offered ? card : undefined;
  });
  tour.say(
    `release  scrubbed, receipt ${receipt.number} signed by the agent, chain ${short(receipt.digest)}`,
  );
  tour.say(`offered  again, fence ${offered.handles.map((one) => one.fence).join(",")}`);
}

async function alveoCard(tour: TourContext): Promise<void> {
  const card = await findFree(tour, "Alveo card", isAlveo);
  const image = await upload(tour, vectorXclbin(card.interfaceId ?? ""));
  const claim = await claimOne(tour, { type: "vector", host: card.hostName });
  await bound(tour, claim.id);
  const loaded = await look(tour, claim.deployable ?? "");
  tour.say(`alveo    ${claim.pciAddress} holds xclbin ${loaded.loaded.functionId}`);
  expect(loaded.loaded.functionId === image.functionId, "the card must say the xclbin's uuid");
  await giveBack(tour, claim, claim.deployable ?? "");
}

/** Without type and image nothing is programmed: the mail's rule. */
async function virtualFunction(tour: TourContext): Promise<void> {
  const card = await findFree(tour, "virtual function", isFixedFunction);
  const claim = await claimOne(tour, { resourceClass: card.resourceClass });
  const held = await bound(tour, claim.id);
  tour.say(`sr-iov   ${held.pciAddress} of ${held.resourceClass}, nothing programmed`);
  await tour.api("DELETE", `/v1/claims/${claim.id}`);
  await until("the virtual function to be free again", async () => {
    const { handles } = await look(tour, claim.deployable ?? "");
    const handle = handles.find((one) => one.name === claim.handle);
    return handle?.state === "free" ? true : undefined;
  });
  tour.say("sr-iov   released, reset by FLR, free again");
}

function expect(holds: boolean, what: string): void {
  if (!holds) throw new Error(what);
}

function short(digest: string | undefined): string {
  return `${(digest ?? "none").slice(0, 12)}…`;
}
