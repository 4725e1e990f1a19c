import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type FaultCode, isFault } from "#domain/faults";
import {
  type Files,
  nodeFiles,
  privateFolder,
  readDurable,
  replaceFile,
  writeDurably,
} from "../../../agent/host/files.ts";

let folder = "";
let path = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "gatehouse-files-"));
  path = join(folder, "record.json");
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const fault = (code: FaultCode) => expect.toSatisfy((error) => isFault(error, code));

/** A file system on which writing data fails as on a full disk. */
function fullDisk(code: string): Files {
  return {
    ...nodeFiles,
    open: async (...args) => {
      const handle = await nodeFiles.open(...args);
      handle.writeFile = () => Promise.reject(Object.assign(new Error("full"), { code }));
      return handle;
    },
  };
}

/** Ends the process, so to speak, at the n-th rename. */
function killedAtRename(n: number): Files {
  let renames = 0;
  return {
    ...nodeFiles,
    rename: async (...args) => {
      if (renames++ === n) throw new Error("killed");
      await nodeFiles.rename(...args);
    },
  };
}

describe("durable files", () => {
  test("what was written is read again, the version before is kept", async () => {
    expect(await readDurable(path)).toBeUndefined();
    await writeDurably(path, "one\ntwo");
    expect(await readDurable(path)).toEqual({ text: "one\ntwo", version: "current" });
    await writeDurably(path, "three");
    await writeFile(path, "rubbish");
    expect(await readDurable(path)).toEqual({ text: "one\ntwo", version: "previous" });
  });

  test("one flipped bit is noticed", async () => {
    await writeDurably(path, "fence 7");
    await writeFile(path, (await readFile(path, "utf8")).replace("fence 7", "fence 5"));
    await expect(readDurable(path)).rejects.toEqual(fault("JOURNAL_UNREADABLE"));
  });

  test("two damaged versions are unreadable, not absent", async () => {
    await writeDurably(path, "one");
    await writeDurably(path, "two");
    for (const name of await readdir(folder)) await writeFile(join(folder, name), "");
    await expect(readDurable(path)).rejects.toEqual(fault("JOURNAL_UNREADABLE"));
  });

  test("a damaged file does not push out the good one before it", async () => {
    await writeDurably(path, "one");
    await writeDurably(path, "two");
    await writeFile(path, "rubbish");
    await expect(writeDurably(path, "three", killedAtRename(0))).rejects.toThrow("killed");
    expect(await readDurable(path)).toEqual({ text: "one", version: "previous" });
    await writeDurably(path, "three");
    expect(await readDurable(path)).toEqual({ text: "three", version: "current" });
  });

  test.each([0, 1])("an end at rename %i loses nothing that was acknowledged", async (n) => {
    await writeDurably(path, "one");
    await expect(writeDurably(path, "two", killedAtRename(n))).rejects.toThrow("killed");
    expect((await readDurable(path))?.text).toBe("one");
    await writeDurably(path, "three");
    expect(await readDurable(path)).toEqual({ text: "three", version: "current" });
  });

  test.each(["ENOSPC", "EDQUOT"])("%s is DISK_FULL and leaves the old text", async (code) => {
    await writeDurably(path, "one");
    await expect(writeDurably(path, "two", fullDisk(code))).rejects.toEqual(fault("DISK_FULL"));
    expect(await readDurable(path)).toEqual({ text: "one", version: "current" });
    expect(await readdir(folder)).toEqual(["record.json"]);
  });

  test("another error keeps its own name", async () => {
    await expect(writeDurably(path, "x", fullDisk("EIO"))).rejects.toMatchObject({ code: "EIO" });
  });
});

describe("replaced files", () => {
  test("only the agent's user can read them, nothing else is left", async () => {
    await replaceFile(path, "one");
    await replaceFile(path, "two");
    expect(await readFile(path, "utf8")).toBe("two");
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(await readdir(folder)).toEqual(["record.json"]);
  });

  test("a full disk leaves the old text", async () => {
    await replaceFile(path, "one");
    await expect(replaceFile(path, "two", fullDisk("ENOSPC"))).rejects.toEqual(fault("DISK_FULL"));
    expect(await readFile(path, "utf8")).toBe("one");
  });

  test("a private folder is made with its parents", async () => {
    const inner = join(folder, "a", "b");
    await privateFolder(inner);
    await privateFolder(inner);
    expect((await stat(inner)).mode & 0o777).toBe(0o700);
    await mkdir(join(inner, "c"));
  });
});
