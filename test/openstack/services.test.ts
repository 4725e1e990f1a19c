import { afterAll, expect, test } from "vitest";
import { bootImage, flavorWith, serversOf } from "./servers.ts";
import { startGlance } from "./services/glance.ts";
import { demo, startKeystone } from "./services/keystone.ts";
import { startPlacement } from "./services/placement.ts";
import { rest, restOk } from "./services/rest.ts";
import { sharedStack } from "./shared.ts";

const stops: (() => Promise<void>)[] = [];
afterAll(async () => {
  await Promise.all(stops.map(async (stop) => await stop()));
});

test("Placement answers to the token admin and keeps providers", async () => {
  const placement = await startPlacement();
  stops.push(placement.stop);
  const { url, token } = placement;
  const list = `${url}/resource_providers`;
  await restOk({ method: "POST", url: list, token, json: { name: "compute1" } });
  const { body } = await rest({ method: "GET", url: list, token });
  expect(body).toMatchObject({ resource_providers: [{ name: "compute1" }] });
  expect((await rest({ method: "GET", url: list })).status).toBe(401);
});

test("Keystone knows its accounts, roles and catalog", async () => {
  const keystone = await startKeystone();
  stops.push(keystone.stop);
  const token = await keystone.catalog.token(demo);
  await keystone.catalog.endpoint("accelerator", "http://127.0.0.1:1/accelerator/v2");
  const { body } = await rest({
    method: "GET",
    url: `${keystone.authUrl}/auth/tokens`,
    token: await keystone.catalog.token(),
    headers: { "x-subject-token": token },
  });
  expect(body).toMatchObject({
    token: {
      user: { name: "demo" },
      project: { name: "demo" },
      catalog: expect.arrayContaining([
        expect.objectContaining({ type: "accelerator", name: "cyborg" }),
        expect.objectContaining({ type: "identity" }),
      ]),
    },
  });
});

test("Glance takes an image of a member of a project and gives it back", async () => {
  const keystone = await startKeystone();
  stops.push(keystone.stop);
  const glance = await startGlance(keystone);
  stops.push(glance.stop);
  const token = await keystone.catalog.token(demo);
  const image = await restOk<{ id: string }>({
    method: "POST",
    url: `${glance.url}/v2/images`,
    token,
    json: { name: "crypto", disk_format: "raw", container_format: "bare", tags: ["FPGA"] },
  });
  const file = `${glance.url}/v2/images/${image.id}/file`;
  const bytes = Buffer.from("bitstream");
  const headers = { "x-auth-token": token, "content-type": "application/octet-stream" };
  expect((await fetch(file, { method: "PUT", headers, body: bytes })).status).toBe(204);
  const back = await fetch(file, { headers });
  expect(Buffer.from(await back.arrayBuffer())).toEqual(bytes);
});

test("Nova boots a server on its compute node, does what it is told with it and deletes it", async () => {
  const stack = await sharedStack();
  const token = await stack.catalog.token();
  const servers = serversOf(stack, token, await bootImage(stack, token));
  const flavor = await flavorWith(stack, token, {});
  const id = await servers.boot(flavor);
  expect(await servers.settled(id, "ACTIVE")).toMatchObject({
    "OS-EXT-SRV-ATTR:host": stack.where.computeName,
  });
  expect((await servers.act(id, { "os-stop": null })).status).toBe(202);
  await servers.settled(id, "SHUTOFF");
  await servers.remove(id);
}, 180_000);
