import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { S3Client } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { HostView } from "#protocol/http/hosts";
import { apiOf } from "../../../localstack/hosts/api.ts";
import {
  type SimulatedHost,
  startSimulatedHost,
} from "../../../localstack/hosts/simulated-host.ts";
import { cryptoGbs } from "../../../localstack/tour/bitstreams.ts";
import {
  attached,
  bound,
  claimOne,
  findFree,
  look,
  newestReceipt,
  receiptAfter,
  until,
  upload,
} from "../../../localstack/tour/steps.ts";

/** A deployed service, offline or in whatever AWS_ENDPOINT_URL names. */
export interface Target {
  readonly url: string;
  readonly socketUrl: string;
  readonly bucket: string;
  readonly s3: S3Client;
}

const identity = { "x-project-id": "contract", "x-roles": "admin", "x-user-id": "contract" };

/**
 * What a deployment must do, whoever emulates AWS below it: answer its routes, ingest an upload,
 * hold an agent's socket, grant, program, attach and take back clean.
 */
export function contractSuite(name: string, targetOf: () => Target): void {
  describe(`the service on ${name}`, () => {
    const node = `contract-${Date.now().toString(36)}`;
    let dir: string;
    let host: SimulatedHost | undefined;
    const api: ReturnType<typeof apiOf> = async (method, path, body) =>
      await apiOf(targetOf().url, identity)(method, path, body);
    const steps = () => {
      const { s3, bucket } = targetOf();
      return { api, s3, bucket, project: "contract", say: () => undefined };
    };

    beforeAll(async () => {
      dir = await mkdtemp(join(tmpdir(), "gatehouse-contract-"));
    });

    afterAll(async () => {
      await host?.stop();
      await rm(dir, { recursive: true, force: true });
    });

    test("answers its routes, and refuses what is not there", async () => {
      const service = await api<{ name: string }>("GET", "/v1");
      expect(service.name).toBe("gatehouse");
      const { paths } = await api<{ paths: object }>("GET", "/v1/openapi.json");
      expect(Object.keys(paths)).toContain("/v1/claims");
      const missing = "00000000-0000-4000-8000-000000000000";
      await expect(api("GET", `/v1/claims/${missing}`)).rejects.toMatchObject({
        status: 404,
        code: "UNKNOWN_CLAIM",
      });
      await expect(api("POST", "/v1/claims", { count: 0 })).rejects.toMatchObject({
        status: 400,
        problem: { field: "count" },
      });
    });

    test("holds the socket of an agent that joined with a one-time token", async () => {
      const { url, socketUrl } = targetOf();
      host = await startSimulatedHost({
        name: node,
        url,
        socketUrl,
        dir,
        speed: Number.POSITIVE_INFINITY,
        newToken: async () =>
          (await api<{ joinToken: string }>("POST", "/v1/hosts", { name: node })).joinToken,
      });
      const online = await until("the host to be online", async () => {
        const { items } = await api<{ items: HostView[] }>("GET", `/v1/hosts?name=${node}`);
        return items.find((one) => one.state === "online");
      });
      expect(online.epoch).toBeGreaterThan(0);
    });

    test("takes a bitstream from the upload to a programmed card and back", async () => {
      const tour = steps();
      const mine = await findFree(
        tour,
        "Intel region of this suite's host",
        (one) => one.hostName === node && one.vendor === "intel" && one.programmable,
      );
      const image = await upload(tour, cryptoGbs(mine.interfaceId ?? ""));
      expect(image.sha256).toMatch(/^[0-9a-f]{64}$/);
      const claim = await claimOne(tour, { image: image.id, host: node, instance: node });
      await bound(tour, claim.id);
      const card = await look(tour, claim.deployable ?? "");
      expect(card.loaded.functionId).toBe(image.functionId);
      const guest = await attached(tour, claim.id);
      expect(guest.attachment?.xml).toContain("<hostdev");
      const before = await newestReceipt(tour, claim.deployable ?? "");
      await api("DELETE", `/v1/claims/${claim.id}`);
      const receipt = await receiptAfter(tour, claim.deployable ?? "", "scrub", before);
      expect(receipt.number).toBeGreaterThan(before);
      const clean = await until("the card to be offered again", async () => {
        const one = await look(tour, claim.deployable ?? "");
        return one.offered ? one : undefined;
      });
      expect(clean.handles.every((handle) => handle.state === "free")).toBe(true);
    }, 60_000);
  });
}
