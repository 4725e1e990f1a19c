import { GetObjectCommand } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { ImageView } from "#protocol/http/images";
import { compareEveryMs } from "../../functions/glance/sync.ts";
import {
  activeImage,
  functionOf,
  gbs,
  intelRegion,
  problemOf,
  sha256Of,
} from "../offline/uploads.ts";
import { type Surroundings, type World, worldOf } from "./world.ts";

const crypto = { vendor: "intel", type: "crypto" };
const dayMs = 24 * 3_600_000;

/** What has to hold of any Glance: the real one and the double. */
export function glanceScenarios(surround: () => Promise<Surroundings>): void {
  let world: World;
  beforeAll(async () => {
    world = worldOf(await surround());
  });
  afterAll(async () => {
    await world.close();
  });

  /** Compares all images, as happens every few minutes. */
  const compare = async () => {
    world.pass(compareEveryMs);
    expect(await world.tick()).toMatchObject({ compared: true, failures: 0 });
  };

  test("an image tagged FPGA becomes ours with its id, owner, digest and ids", async () => {
    const bytes = gbs("from-glance");
    const functionId = functionOf("from-glance");
    const id = await world.admin.upload(bytes, {
      ...crypto,
      name: "aes",
      "accel:function_id": functionId,
      "accel:region_id": intelRegion,
    });
    const there = await world.admin.show(id);
    const image = await world.becomes(id, "active");
    expect(image).toMatchObject({
      id,
      project: there?.["owner"],
      name: "aes",
      ...crypto,
      visibility: "public",
      source: "glance",
      size: bytes.length,
      sha256: sha256Of(bytes),
      functionId,
      interfaceId: intelRegion,
    });
    expect(image.copy).toBeUndefined();
    const before = image.updatedAt;
    expect(await world.tick()).toMatchObject({ added: 0, changed: 0, brought: 0, failures: 0 });
    expect((await world.show(id)).updatedAt).toBe(before);
  });

  test("its bytes are copied once, for whoever fetches the verified image", async () => {
    const bytes = gbs("fetched");
    const id = await world.admin.upload(bytes, crypto);
    const image = await world.becomes(id, "active");
    const { s3, cloud } = world.offline;
    const where = { Bucket: cloud.bucket, Key: `verified/${image.sha256}` };
    const { Body } = await s3.send(new GetObjectCommand(where));
    expect(Buffer.from((await Body?.transformToByteArray()) ?? [])).toEqual(bytes);
  });

  test("what is said of it later is followed as far as its bytes agree", async () => {
    const id = await world.admin.upload(gbs("renamed"), crypto);
    await world.becomes(id, "active");
    await world.admin.patch(id, { name: "new name", type: "compression", visibility: "private" });
    await world.tick();
    expect(await world.show(id)).toMatchObject({
      state: "active",
      name: "new name",
      type: "compression",
      visibility: "private",
    });
    await world.admin.patch(id, { vendor: "xilinx", name: "third" });
    await world.tick();
    expect(await world.show(id)).toMatchObject({ vendor: "intel", name: "third" });
  });

  test("deactivated it is out of use at once, reactivated it is judged and back", async () => {
    const id = await world.admin.upload(gbs("switched"), crypto);
    await world.becomes(id, "active");
    await world.admin.act(id, "deactivate");
    await world.tick();
    expect(await world.show(id)).toMatchObject({
      state: "rejected",
      reason: { code: "IMAGE_NOT_ACTIVE", message: "deactivated in Glance" },
    });
    const claim = world.offline.as("ops")("POST", "/v1/claims", { image: id });
    expect(await problemOf(claim)).toMatchObject({ code: "IMAGE_NOT_ACTIVE" });
    await world.admin.act(id, "reactivate");
    expect((await world.becomes(id, "active")).reason).toBeUndefined();
  });

  test("without its tag it is out of use until the tag is back", async () => {
    const id = await world.admin.upload(gbs("untagged"), crypto);
    await world.becomes(id, "active");
    await world.admin.tag(id, "FPGA", false);
    await compare();
    expect(await world.show(id)).toMatchObject({
      state: "rejected",
      reason: { message: "without the tag FPGA in Glance" },
    });
    await world.admin.tag(id, "FPGA", true);
    await compare();
    await world.becomes(id, "active");
  });

  test("an image that lacks vendor and type waits for them and says so", async () => {
    const id = await world.admin.upload(gbs("bare"));
    const waiting = await world.becomes(id, "pending");
    expect(waiting.reason?.message).toBe("waiting for the property vendor and type");
    await world.admin.patch(id, { vendor: "8086" });
    await world.tick();
    expect((await world.show(id)).reason?.message).toBe("waiting for the property type");
    await world.admin.patch(id, { type: "crypto" });
    expect(await world.becomes(id, "active")).toMatchObject(crypto);
  });

  test("the property names of 2018 count", async () => {
    const id = await world.admin.upload(gbs("old"), {
      vendor: "intel",
      "bs-name": "old crypto",
      function_name: "crypto",
      function_uuid: functionOf("old"),
      region_uuid: intelRegion,
      shell_id: "u200-xdma",
    });
    expect(await world.becomes(id, "active")).toMatchObject({ name: "old crypto", type: "crypto" });
  });

  test("ids that contradict the bytes are refused, and healed when they are put right", async () => {
    const wrong = { "accel:function_id": functionOf("another") };
    const id = await world.admin.upload(gbs("contradicted"), { ...crypto, ...wrong });
    const refused = await world.becomes(id, "rejected");
    expect(refused.reason?.code).toBe("IMAGE_METADATA_MISMATCH");
    await world.admin.patch(id, { "accel:function_id": functionOf("contradicted") });
    await world.becomes(id, "active");
  });

  test("a private image is seen by its project only", async () => {
    const { user, project } = world.owner;
    const id = await user.upload(gbs("private"), { ...crypto, visibility: "private" });
    await world.becomes(id, "active");
    const asMember = (name: string) => world.offline.as(name, "member");
    expect(await asMember(project)<ImageView>("GET", `/v1/images/${id}`)).toMatchObject({
      project,
      visibility: "private",
    });
    const stranger = asMember("stranger")("GET", `/v1/images/${id}`);
    expect(await problemOf(stranger)).toMatchObject({ code: "UNKNOWN_IMAGE" });
    const open = await world.admin.upload(gbs("open"), { ...crypto, visibility: "community" });
    await world.becomes(open, "active");
    expect(await asMember("stranger")<ImageView>("GET", `/v1/images/${open}`)).toMatchObject({
      visibility: "public",
    });
  });

  test("images without the tag, and without bytes, are not ours", async () => {
    const plain = await world.admin.upload(gbs("plain"), { ...crypto, tags: ["linux"] });
    await compare();
    expect(await problemOf(world.show(plain))).toMatchObject({ code: "UNKNOWN_IMAGE" });
  });

  test("many images come in pages, also those changed at the same second", async () => {
    const ids: string[] = [];
    for (let index = 0; index < 7; index += 1) {
      ids.push(await world.admin.upload(gbs(`page-${index}`), crypto));
    }
    await world.tick({ pageSize: 3 });
    for (const id of ids) await world.becomes(id, "active");
  });

  test("bytes that are not what Glance digested are refused and never reach the bucket", async () => {
    const id = await world.admin.upload(gbs("flipped"), crypto);
    await world.tick({ fetch: flipping });
    expect(await world.show(id)).toMatchObject({
      state: "rejected",
      reason: { code: "IMAGE_CORRUPT" },
    });
    const { s3, cloud } = world.offline;
    const { objectKey: Key } = await world.show(id);
    const read = s3.send(new GetObjectCommand({ Bucket: cloud.bucket, Key }));
    await expect(read).rejects.toMatchObject({ name: "NoSuchKey" });
  });

  test("an image of ours is known in Glance with id, bytes and properties, until it is retired", async () => {
    const image = await activeImage(world.offline, world.owner.project, "made-here");
    expect(await world.tick()).toMatchObject({ registered: 1, failures: 0 });
    expect(await world.admin.show(image.id)).toMatchObject({
      id: image.id,
      name: image.name,
      owner: world.owner.project,
      status: "active",
      visibility: "private",
      tags: ["FPGA"],
      ...crypto,
      "accel:function_id": functionOf("made-here"),
      disk_format: "raw",
      container_format: "bare",
    });
    expect(await world.admin.download(image.id)).toEqual(gbs("made-here"));
    await compare();
    expect(await world.tick()).toMatchObject({ registered: 0, added: 0, changed: 0 });
    expect(await world.show(image.id)).toMatchObject({
      source: "upload",
      registration: { told: "active" },
    });
    await world.offline.as("ops")("DELETE", `/v1/images/${image.id}`);
    expect(await world.tick()).toMatchObject({ registered: 1 });
    expect(await world.admin.show(image.id)).toBeUndefined();
    expect(await world.tick()).toMatchObject({ registered: 0 });
  });

  test("deleted it is out of use, and retired a day later", async () => {
    const id = await world.admin.upload(gbs("deleted"), crypto);
    await world.becomes(id, "active");
    await world.admin.remove(id);
    await compare();
    expect(await world.show(id)).toMatchObject({
      state: "rejected",
      reason: { code: "IMAGE_NOT_ACTIVE", message: "deleted in Glance" },
    });
    world.pass(dayMs);
    await compare();
    expect(await world.show(id)).toMatchObject({ state: "retired" });
  });
}

/** A way on which one bit of every download turns over. */
async function flipping(...[url, init]: Parameters<typeof fetch>): Promise<Response> {
  const response = await fetch(url, init);
  if (!new Request(url).url.endsWith("/file") || init?.method === "PUT") return response;
  const bytes = new Uint8Array(await response.arrayBuffer());
  bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
  return new Response(bytes, { status: response.status });
}
