import {
  chmod,
  link,
  mkdtemp,
  readdir,
  readFile,
  realpath,
  rm,
  stat,
  symlink,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type FaultCode, isFault } from "#domain/faults";
import { handOver } from "../../../agent/host/handed-file.ts";

const bytes = Buffer.from("bits");
const name = "image.gbs";
const fault = (code: FaultCode) => expect.toSatisfy((error) => isFault(error, code));

let folder: string;
beforeEach(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), "gatehouse-handed-")));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

test("a file is lent read-only and gone afterwards, whatever its reader does", async () => {
  const use = async (path: string) => {
    expect(path).toBe(join(folder, name));
    expect((await stat(path)).mode & 0o777).toBe(0o400);
    return (await readFile(path)).toString();
  };
  expect(await handOver({ folder, name, bytes }, use)).toBe("bits");
  const failing = handOver({ folder, name, bytes }, () => Promise.reject(new Error("reader")));
  await expect(failing).rejects.toThrow("reader");
  expect(await readdir(folder)).toEqual([]);
});

test("its path has no symbolic link, also where the folder's has one", async () => {
  const alias = join(folder, "alias");
  const real = await mkdtemp(join(folder, "real-"));
  await symlink(real, alias);
  const use = async (path: string) => path;
  expect(await handOver({ folder: alias, name, bytes }, use)).toBe(join(real, name));
});

test("what lay there before is neither read nor followed", async () => {
  const victim = join(folder, "victim");
  await writeFile(victim, "precious");
  for (const plant of [
    () => symlink(victim, join(folder, name)),
    () => link(victim, join(folder, name)),
    () => writeFile(join(folder, name), "half of an older file"),
  ]) {
    await plant();
    const use = async (path: string) => (await readFile(path)).toString();
    expect(await handOver({ folder, name, bytes }, use)).toBe("bits");
  }
  expect((await readFile(victim)).toString()).toBe("precious");
});

test.each(["../image.gbs", "sub/image.gbs", "", ".gbs", "image", "image.gbs\n", "-rf.gbs"])(
  "%j is no name",
  async (odd) => {
    const use = () => Promise.reject(new Error("was used"));
    await expect(handOver({ folder, name: odd, bytes }, use)).rejects.toEqual(
      fault("INVALID_REQUEST"),
    );
  },
);

test("a folder that takes no file is told as a failed program, not as the card's errno", async () => {
  const use = () => Promise.reject(new Error("was used"));
  const missing = handOver({ folder: join(folder, "missing"), name, bytes }, use);
  await expect(missing).rejects.toEqual(fault("PROGRAM_FAILED"));
  const file = join(folder, "file");
  await writeFile(file, "");
  await chmod(file, 0o600);
  await expect(handOver({ folder: file, name, bytes }, use)).rejects.toEqual(
    fault("PROGRAM_FAILED"),
  );
});
