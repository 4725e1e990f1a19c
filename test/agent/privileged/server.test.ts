import { mkdtemp, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Fault, isFault } from "#domain/faults";
import { isKernelError, kernelError } from "../../../agent/host/sysfs-port.ts";
import { type HelperClient, helperClient } from "../../../agent/privileged/client.ts";
import { type Helper, serveHelper } from "../../../agent/privileged/server.ts";
import { bench, devices, firstPf } from "../kernels.ts";

const override = `${devices}/${firstPf}/driver_override`;
let folder: string;
let path: string;
let client: HelperClient;
let helper: Helper | undefined;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "gatehouse-helper-"));
  path = join(folder, "helper.sock");
  client = helperClient({ path, plain: bench().kernel });
});
afterEach(async () => {
  client.close();
  await helper?.close();
  helper = undefined;
  await rm(folder, { recursive: true });
});

async function serve(perform: Parameters<typeof serveHelper>[1]): Promise<void> {
  const listen = (server: { listen(path: string, done: () => void): unknown }) =>
    new Promise<void>((resolve) => server.listen(path, resolve));
  helper = await serveHelper(listen, perform);
}

test("keeps an errno an errno and a fault a fault", async () => {
  await serve(async ({ verb }) => {
    if (verb === "write") throw kernelError("EBUSY", "here");
    throw new Fault("IN_USE", "held", { address: firstPf });
  });
  const write = client.port.write(override, "vfio-pci", 1000);
  await expect(write).rejects.toSatisfy((error) => isKernelError(error, "EBUSY"));
  const release = client.pr.releasePort("/dev/dfl-fme.0", 0);
  await expect(release).rejects.toMatchObject({ code: "IN_USE", detail: { address: firstPf } });
});

test("serves requests beside each other", async () => {
  const held = Promise.withResolvers<void>();
  await serve(async ({ verb }) => {
    if (verb === "write") await held.promise;
    return "answer";
  });
  const write = client.port.write(override, "vfio-pci", 1000);
  await expect(client.port.read(override)).resolves.toBe("answer");
  held.resolve();
  await write;
});

test("is away with a passing fault, and found again when it is back", async () => {
  const away = client.port.read(override);
  await expect(away).rejects.toSatisfy((error) => isFault(error, "TRY_AGAIN"));
  await serve(async () => "back");
  await expect(client.port.read(override)).resolves.toBe("back");
});

test("answers what runs before it ends", async () => {
  const started = Promise.withResolvers<void>();
  const held = Promise.withResolvers<void>();
  await serve(async () => {
    started.resolve();
    await held.promise;
    return "whole";
  });
  const read = client.port.read(override);
  await started.promise;
  const closed = helper?.close();
  helper = undefined;
  held.resolve();
  await expect(read).resolves.toBe("whole");
  await closed;
});

test.each([
  "no request",
  JSON.stringify({ id: 1, request: { verb: "run", command: "sh" } }),
  JSON.stringify({ id: 1, request: { verb: "program", engine: "/dev/sda", port: 0 } }),
  JSON.stringify({ id: 1, request: { verb: "load-afi", slot: 0, agfi: "-h" } }),
])("ends a connection that says %s, and does nothing", async (line) => {
  const done: string[] = [];
  await serve(async ({ verb }) => void done.push(verb));
  const socket = connect(path);
  await new Promise((resolve) => {
    socket.once("close", resolve).on("error", () => undefined);
    socket.write(`${line}\n`);
  });
  expect(done).toEqual([]);
});

test("names an image by what the cloud says of it, without its address, and never sends bytes", async () => {
  const asked: unknown[] = [];
  await serve(async (request) => void asked.push(request));
  const bytes = Buffer.from("bits");
  const hex = "ab".repeat(32);
  const image = {
    id: "99999999-9999-4999-8999-999999999999",
    url: "https://secret",
    size: 4,
    sha256: hex,
    md5: "cd".repeat(16),
    format: "gbs",
    vendor: "intel",
    type: "crypto",
    functionId: "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa",
  } as const;
  client.vouch(bytes, image);
  const bitstream = { bytes, functionId: image.functionId };
  await client.pr.programPort("/dev/dfl-fme.0", 0, bitstream, () => undefined);
  expect(asked).toMatchObject([{ verb: "program", file: { image: { sha256: hex, url: "" } } }]);
  expect(JSON.stringify(asked)).not.toContain("secret");
});
