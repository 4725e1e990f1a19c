import { generateKeyPairSync } from "node:crypto";
import { ListMultipartUploadsCommand } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { signManifest } from "#protocol/images/manifest";
import { readGlanceCursor } from "#store/glance";
import { create } from "../../functions/events/glance.ts";
import { partBytes, uploaderFrom } from "../../functions/parts/bucket-upload.ts";
import { storeFrom } from "../../functions/parts/store.ts";
import type { Api } from "../../localstack/hosts/api.ts";
import { roleId, roles } from "../../tools/roles.ts";
import { glanceUser } from "../glance/client.ts";
import { type FakeGlance, startFakeGlance } from "../glance/fake-glance.ts";
import { glanceScenarios } from "../glance/scenarios.ts";
import { type Surroundings, type World, worldOf } from "../glance/world.ts";
import { type Access, around, isAllowed, recordAccess } from "./access.ts";
import { startOffline } from "./support.ts";
import { functionOf, gbs, intelRegion, sha256Of } from "./uploads.ts";

async function surround(glance: FakeGlance): Promise<Surroundings> {
  const settings = { GATEHOUSE_GLANCE: "write", GLANCE_ENDPOINT: glance.url };
  const offline = await startOffline(settings, around);
  const admin = glanceUser(glance.url);
  return {
    admin,
    owner: { user: admin, project: glance.owner },
    offline,
    close: async () => {
      await offline.close();
      await glance.close();
    },
  };
}

type Role = {
  readonly Properties: {
    readonly Policies: readonly { readonly PolicyDocument: { readonly Statement: never[] } }[];
  };
};

describe("a Glance", () => {
  const accesses: Access[] = [];
  const stop = recordAccess(accesses);
  afterAll(stop);
  glanceScenarios(async () => await surround(await startFakeGlance()));

  test("needs no right that its function's role does not give", () => {
    const role = roles[roleId("glance")] as Role;
    const statements = role.Properties.Policies.flatMap((one) => one.PolicyDocument.Statement);
    const own = accesses.filter(({ functionName }) => functionName === "glance");
    expect(own.length).toBeGreaterThan(100);
    const refused = own.filter((access) => !isAllowed(statements, access));
    expect(refused.map(({ action, on }) => `${action} ${on.join()}`)).toEqual([]);
  });
});

describe("when things go wrong", () => {
  const crypto = { vendor: "intel", type: "crypto" };
  let glance: FakeGlance;
  let world: World;
  beforeAll(async () => {
    glance = await startFakeGlance();
    world = worldOf(await surround(glance));
  });
  afterAll(async () => await world.close());
  const cursor = async () => await readGlanceCursor(storeFrom(world.offline.cloud.environment));

  test("Glance is away: the cursor stays and the next tick finds what was missed", async () => {
    expect(await world.tick()).toMatchObject({ failures: 0, compared: true });
    const before = await cursor();
    const id = await world.admin.upload(gbs("missed"), crypto);
    glance.refuse = () => 503;
    expect(await world.tick()).toMatchObject({ failures: 1, added: 0 });
    expect(await cursor()).toEqual(before);
    glance.refuse = () => undefined;
    await world.becomes(id, "active");
    expect((await cursor())?.since).toBeGreaterThan(before?.since ?? 0);
  });

  test("a download is refused: the image waits, shows why, and comes by itself", async () => {
    const id = await world.admin.upload(gbs("later"), crypto);
    glance.refuse = (_method, path) => (path.endsWith("/file") ? 500 : undefined);
    expect(await world.tick()).toMatchObject({ added: 1, brought: 1, failures: 0 });
    const problem = `Glance answered 500 for image ${id}`;
    expect((await world.show(id)).copy).toMatchObject({ copied: 0, problem });
    glance.refuse = () => undefined;
    world.pass(30_000);
    await world.becomes(id, "active");
  });

  test("a look ends between two pages: the next one sees both", async () => {
    const ids = await Promise.all(
      ["page-a", "page-b"].map(async (name) => await world.admin.upload(gbs(name), crypto)),
    );
    const before = await cursor();
    let lists = 0;
    const halfway = async (...[url, init]: Parameters<typeof fetch>) => {
      const isList = new URL(new Request(url).url).searchParams.has("tag");
      if (isList) lists += 1;
      return isList && lists > 1 ? new Response("", { status: 500 }) : await fetch(url, init);
    };
    expect(await world.tick({ fetch: halfway, pageSize: 1 })).toMatchObject({ failures: 1 });
    expect(await cursor()).toEqual(before);
    await world.tick();
    for (const id of ids) await world.becomes(id, "active");
  });

  test("without GATEHOUSE_GLANCE nothing is asked", async () => {
    const { environment } = world.offline.cloud;
    glance.asked.length = 0;
    await create({ ...environment, GATEHOUSE_GLANCE: "off" })({}, {} as never);
    await create({ ...environment, GLANCE_ENDPOINT: "" })({}, {} as never);
    expect(glance.asked).toEqual([]);
    await create({ ...environment, GATEHOUSE_GLANCE: "read" })({}, {} as never);
    expect(glance.asked).not.toEqual([]);
  });

  test("an image of several parts arrives whole", async () => {
    const bytes = gbs("large", 2 * partBytes + 5);
    const id = await world.admin.upload(bytes, crypto);
    expect(await world.becomes(id, "active")).toMatchObject({ sha256: sha256Of(bytes) });
  });

  test("an upload that is not approved leaves neither an object nor its parts", async () => {
    const { environment, bucket } = world.offline.cloud;
    async function* chunks() {
      yield new Uint8Array(partBytes + 1);
    }
    const refuse = () => {
      throw new Error("not approved");
    };
    const uploader = uploaderFrom(environment);
    await expect(uploader.write("images/p1/no", chunks(), refuse)).rejects.toThrow("not approved");
    const list = new ListMultipartUploadsCommand({ Bucket: bucket });
    expect((await world.offline.s3.send(list)).Uploads ?? []).toEqual([]);
  });
});

test("where signatures are required, the manifest of a property is one, also when it comes later", async () => {
  const glance = await startFakeGlance();
  const settings = {
    GATEHOUSE_GLANCE: "read",
    GLANCE_ENDPOINT: glance.url,
    GATEHOUSE_SIGNATURE_POLICY: "required",
  };
  const offline = await startOffline(settings);
  const close = async () => {
    await offline.close();
    await glance.close();
  };
  onTestFinished(close);
  const admin = glanceUser(glance.url);
  const world = worldOf({ admin, owner: { user: admin, project: glance.owner }, offline, close });
  const manifestFor = await trustedSigner(offline.as("ops"));
  const crypto = { vendor: "intel", type: "crypto" };
  const bytes = gbs("signed");
  const first = { ...crypto, gatehouse_manifest: manifestFor("signed", bytes) };
  const signed = await admin.upload(bytes, first);
  const late = await admin.upload(gbs("late"), crypto);
  expect((await world.becomes(signed, "active")).signedBy).toBeDefined();
  expect((await world.becomes(late, "rejected")).reason?.code).toBe("SIGNATURE_REQUIRED");
  await admin.patch(late, { gatehouse_manifest: manifestFor("late", gbs("late")) });
  await world.becomes(late, "active");
  await admin.patch(signed, { gatehouse_manifest: manifestFor("late", gbs("late")) });
  expect(await world.tick()).toMatchObject({ changed: 1, failures: 0 });
  expect(await world.show(signed)).toMatchObject({ state: "active" });
});

/** Makes a key that the installation trusts, and signs images with it. */
async function trustedSigner(api: Api): Promise<(name: string, bytes: Buffer) => string> {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const pem = publicKey.export({ type: "spki", format: "pem" }).toString();
  const key = await api<{ id: string }>("POST", "/v1/keys", { name: "signer", publicKey: pem });
  return (name, bytes) => {
    const facts = { sha256: sha256Of(bytes), size: bytes.length, vendor: "intel", type: "crypto" };
    const ids = { interfaceId: intelRegion, functionId: functionOf(name) };
    return JSON.stringify(signManifest({ ...facts, format: "gbs", ...ids }, key.id, privateKey));
  };
}
