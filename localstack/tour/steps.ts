import { PutObjectCommand, type S3Client } from "@aws-sdk/client-s3";
import type { ClaimView } from "#protocol/http/claims";
import type { DeployableView, OperationView, ReceiptView } from "#protocol/http/deployables";
import type { ImageView } from "#protocol/http/images";
import { type Api, ApiError } from "../hosts/api.ts";
import type { TourBitstream } from "./bitstreams.ts";

/** What a tour works with. */
export interface TourContext {
  readonly api: Api;
  readonly s3: S3Client;
  readonly bucket: string;
  readonly project: string;
  readonly say: (line: string) => void;
}

interface List<Entry> {
  readonly items: readonly Entry[];
}

/** Longest wait for anything in a tour. */
const patienceMs = 30_000;

/** Looks every 50 ms until `look` gives something; fails with what was waited for. */
export async function until<Found>(
  what: string,
  look: () => Promise<Found | undefined>,
  ms: number = patienceMs,
): Promise<Found> {
  const end = Date.now() + ms;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (Date.now() > end) throw new Error(`waited ${ms / 1000} s in vain: ${what}`);
    await new Promise((resolve) => {
      setTimeout(resolve, 50);
    });
  }
}

/** Puts a plain object with the mail's tags, as any SDK client can, and waits for the verdict. */
export async function upload(tour: TourContext, bitstream: TourBitstream): Promise<ImageView> {
  const { file, vendor, type, bytes } = bitstream;
  const Key = `images/${tour.project}/${file}`;
  await tour.s3.send(
    new PutObjectCommand({
      Bucket: tour.bucket,
      Key,
      Body: bytes,
      Tagging: new URLSearchParams({ FPGA: "true", vendor, type, visibility: "shared" }).toString(),
    }),
  );
  return await until(`image ${Key} to be judged`, async () => {
    const { items } = await tour.api<List<ImageView>>("GET", "/v1/images?limit=200");
    const mine = items.filter((image) => image.objectKey === Key);
    const judged = mine.find((image) => image.state === "active" || image.state === "rejected");
    if (judged?.state === "rejected") throw new Error(`rejected: ${judged.reason?.message ?? ""}`);
    return judged;
  });
}

/** A free deployable with this kind of handle, by vendor and whether it can be programmed. */
export async function findFree(
  tour: TourContext,
  what: string,
  fits: (deployable: DeployableView) => boolean,
): Promise<DeployableView> {
  return await until(`a free ${what}`, async () => {
    const { items } = await tour.api<List<DeployableView>>("GET", "/v1/deployables?limit=200");
    return items.find((deployable) => deployable.offered && fits(deployable));
  });
}

/** Claims one handle. */
export async function claimOne(tour: TourContext, request: object): Promise<ClaimView> {
  const { claims } = await tour.api<{ claims: ClaimView[] }>("POST", "/v1/claims", request);
  const [claim] = claims;
  if (claim === undefined) throw new Error("a claim was granted without a claim");
  return claim;
}

/** Waits until the agent has proven the claim. */
export async function bound(tour: TourContext, id: string): Promise<ClaimView> {
  return await until(`claim ${id} to be Bound`, async () => {
    const claim = await tour.api<ClaimView>("GET", `/v1/claims/${id}`);
    if (claim.state === "BindFailed") throw new Error(claim.reason?.message ?? "bind failed");
    return claim.state === "Bound" ? claim : undefined;
  });
}

/** Plugs the claim's handle for a libvirt guest and waits for what the guest needs. */
export async function attached(tour: TourContext, id: string): Promise<ClaimView> {
  await tour.api("POST", `/v1/claims/${id}/attach`, { hypervisor: "libvirt", domain: "tour" });
  return await until(`claim ${id} to be plugged`, async () => {
    const claim = await tour.api<ClaimView>("GET", `/v1/claims/${id}`);
    if (claim.plugError !== undefined) throw new Error(claim.plugError.message);
    return claim.plugged ? claim : undefined;
  });
}

/** Waits for an operation's end and tells of its phases. */
export async function finished(tour: TourContext, id: string): Promise<OperationView> {
  let phase = "";
  return await until(`operation ${id}`, async () => {
    const operation = await tour.api<OperationView>("GET", `/v1/operations/${id}`);
    if (operation.phase !== phase && operation.state === "running") {
      phase = operation.phase;
      tour.say(`  … ${phase} ${operation.percent} %`);
    }
    if (operation.state === "failed") throw new Error(operation.error?.message ?? "failed");
    return operation.state === "running" ? undefined : operation;
  });
}

/** One deployable. */
export async function look(tour: TourContext, id: string): Promise<DeployableView> {
  return await tour.api<DeployableView>("GET", `/v1/deployables/${id}`);
}

/** The newest receipt of a kind, once there is one after `after`. */
export async function receiptAfter(
  tour: TourContext,
  id: string,
  kind: ReceiptView["kind"],
  after: number,
): Promise<ReceiptView> {
  return await until(`a ${kind} receipt`, async () => {
    const { items } = await tour.api<List<ReceiptView>>("GET", `/v1/deployables/${id}/receipts`);
    return items.find((receipt) => receipt.kind === kind && receipt.number > after);
  });
}

/** Number of the newest receipt, 0 before any. */
export async function newestReceipt(tour: TourContext, id: string): Promise<number> {
  const { items } = await tour.api<List<ReceiptView>>("GET", `/v1/deployables/${id}/receipts`);
  return items[0]?.number ?? 0;
}

/** The code of the refusal that a call must meet. */
export async function refused(call: Promise<unknown>): Promise<string> {
  try {
    await call;
  } catch (error) {
    if (error instanceof ApiError) return error.code;
    throw error;
  }
  throw new Error("this had to be refused");
}
