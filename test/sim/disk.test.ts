import { constants } from "node:fs";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { readDurable, replaceFile, writeDurably } from "../../agent/host/files.ts";
import { certain, faultsOf } from "./certain.ts";
import { Disk, type DiskParts } from "./disk.ts";
import { streamsOf } from "./random.ts";

const path = "/state/record";
const write = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC;
const anySeed = fc.integer({ min: 0, max: 100_000 });
const seeds = Array.from({ length: 300 }, (_, seed) => seed);

function diskOf(seed: number, parts: Partial<DiskParts> = {}): Disk {
  return new Disk({ faults: faultsOf(), random: streamsOf(seed)("disk"), ...parts });
}

function fullDisk(): Disk {
  return new Disk({ faults: faultsOf("disk-full"), random: certain() });
}

/** Writes a file in place and lets go of it without any sync. */
async function scribble(disk: Disk, where: string, text: string): Promise<void> {
  await using handle = await disk.files.open(where, write);
  await handle.writeFile(text);
}

async function syncFolder(disk: Disk, where = "/state"): Promise<void> {
  await using folder = await disk.files.open(where, constants.O_RDONLY);
  await folder.sync();
}

/** The text of a file; undefined when there is none. */
async function textAt(disk: Disk, where = path): Promise<string | undefined> {
  const names = await disk.files.readdir("/state");
  return names.includes(where.slice("/state/".length))
    ? await disk.files.readFile(where, "utf8")
    : undefined;
}

/** What is found after power off, over many seeds. */
async function foundAfter(
  before: (disk: Disk) => Promise<void>,
): Promise<ReadonlySet<string | undefined>> {
  const found = new Set<string | undefined>();
  for (const seed of seeds) {
    const disk = diskOf(seed);
    await before(disk);
    disk.powerOff();
    found.add(await textAt(disk));
  }
  return found;
}

describe("the next process", () => {
  test("finds what was written, synced or not", async () => {
    const disk = diskOf(1);
    await scribble(disk, path, "text");
    expect(await disk.files.readFile(path, "utf8")).toBe("text");
    expect((await disk.files.lstat(path)).size).toBe(4);
  });

  test("finds the names of one folder in order and of no other", async () => {
    const disk = diskOf(1);
    for (const name of ["/state/b", "/state/a", "/stateless/c"]) await scribble(disk, name, name);
    expect(await disk.files.readdir("/state")).toEqual(["a", "b"]);
  });

  test("is told that a file is not there", async () => {
    const { files } = diskOf(1);
    await expect(files.readFile(path, "utf8")).rejects.toMatchObject({ code: "ENOENT" });
    await expect(files.lstat(path)).rejects.toMatchObject({ code: "ENOENT" });
    await expect(files.rename(path, "/state/other")).rejects.toMatchObject({ code: "ENOENT" });
  });
});

describe("power off", () => {
  test("leaves nothing, all, or a part of what was not synced", async () => {
    const found = await foundAfter((disk) => scribble(disk, path, "abcdef"));
    expect([...found].map(String).sort()).toEqual(
      ["", "a", "ab", "abc", "abcd", "abcde", "abcdef", "undefined"].sort(),
    );
  });

  test("tears an unsynced text under a name that is kept, or brings the old one back", async () => {
    const found = await foundAfter(async (disk) => {
      await replaceFile(path, "old", disk.files);
      await using handle = await disk.files.open("/state/new", write);
      await handle.writeFile("newer");
      await disk.files.rename("/state/new", path);
    });
    expect(found).toContain("old");
    expect(found).toContain("newer");
    expect([...found].some((text) => text !== "newer" && text?.startsWith("ne"))).toBe(true);
  });

  test("may bring back what was synced of a file that was written again", async () => {
    const found = await foundAfter(async (disk) => {
      await using handle = await disk.files.open(path, write);
      await handle.writeFile("old");
      await handle.sync();
      await syncFolder(disk);
      await handle.writeFile("ab");
    });
    expect(found).toEqual(new Set(["old", "ab", "a", ""]));
  });

  test("leaves a synced text whole, and its name or not until the folder is synced", async () => {
    const found = await foundAfter(async (disk) => {
      await using handle = await disk.files.open(path, write);
      await handle.writeFile("abcdef");
      await handle.sync();
    });
    expect(found).toEqual(new Set(["abcdef", undefined]));
  });

  test("takes nothing of a file that was replaced with every sync", async () => {
    await fc.assert(
      fc.asyncProperty(anySeed, fc.string(), fc.string(), async (seed, old, text) => {
        const disk = diskOf(seed);
        await replaceFile(path, old, disk.files);
        await replaceFile(path, text, disk.files);
        disk.powerOff();
        disk.powerOff();
        expect(await textAt(disk)).toBe(text);
      }),
    );
  });

  test("may bring a removed file back until its folder is synced", async () => {
    const remove = async (disk: Disk) => {
      await replaceFile(path, "text", disk.files);
      await disk.files.rm(path);
    };
    expect(await foundAfter(remove)).toEqual(new Set(["text", undefined]));
    const gone = await foundAfter(async (disk) => {
      await remove(disk);
      await syncFolder(disk);
    });
    expect(gone).toEqual(new Set([undefined]));
  });

  test("keeps nothing of a folder because another one was synced", async () => {
    const found = await foundAfter(async (disk) => {
      await using handle = await disk.files.open(path, write);
      await handle.writeFile("text");
      await handle.sync();
      await syncFolder(disk, "/stat");
    });
    expect(found).toContain(undefined);
  });

  test("changes nothing that a second one could change again", async () => {
    await fc.assert(
      fc.asyncProperty(anySeed, async (seed) => {
        const disk = diskOf(seed);
        await scribble(disk, path, "abcdef");
        disk.powerOff();
        const first = await textAt(disk);
        disk.powerOff();
        expect(await textAt(disk)).toBe(first);
      }),
    );
  });
});

describe("a record", () => {
  test("counts only once it is synced", async () => {
    const disk = diskOf(1);
    expect(disk.recordAt(path)).toBeUndefined();
    const handle = await disk.files.open(path, write);
    await handle.writeFile('seal\n{"fence":7}');
    expect(() => disk.recordAt(path)).toThrow(SyntaxError);
    await handle.sync();
    expect(disk.recordAt(path)).toEqual({ fence: 7 });
    await handle.close();
  });

  test("is what the agent wrote durably, and what a plant made of it", async () => {
    const disk = diskOf(1);
    await writeDurably(path, '{"fence":7}', disk.files);
    expect(disk.recordAt(path)).toEqual({ fence: 7 });
    const planted = diskOf(1, { plant: { written: (_, text) => text.replace(":7", ":6") } });
    await writeDurably(path, '{"fence":7}', planted.files);
    expect(planted.recordAt(path)).toEqual({ fence: 6 });
  });
});

describe("a full disk", () => {
  test("refuses to open a file for writing and makes no name", async () => {
    const disk = fullDisk();
    await expect(disk.files.open(path, write)).rejects.toMatchObject({ code: "ENOSPC" });
    await expect(replaceFile(path, "text", disk.files)).rejects.toMatchObject({
      code: "DISK_FULL",
    });
    expect(await textAt(disk)).toBeUndefined();
  });

  test("keeps what it has and lets it be read", async () => {
    let isFull = false;
    const random = { ...certain(), chance: () => isFull };
    const full = new Disk({ faults: faultsOf("disk-full"), random });
    await replaceFile(path, "old", full.files);
    isFull = true;
    await expect(replaceFile(path, "new", full.files)).rejects.toMatchObject({
      code: "DISK_FULL",
    });
    await syncFolder(full);
    expect(await textAt(full)).toBe("old");
  });
});

describe("loss", () => {
  test("takes everything, or damages one file for good", async () => {
    const kinds = new Set<string>();
    for (const seed of seeds) {
      const disk = diskOf(seed);
      for (const name of ["/state/a", "/state/b"]) await replaceFile(name, "text", disk.files);
      const lost = disk.lose();
      disk.powerOff();
      const left = { a: await textAt(disk, "/state/a"), b: await textAt(disk, "/state/b") };
      kinds.add(lost);
      if (lost === "everything") expect(left).toEqual({ a: undefined, b: undefined });
      else {
        const [damaged, whole] = lost === "/state/a" ? [left.a, left.b] : [left.b, left.a];
        expect(whole).toBe("text");
        expect(damaged).not.toBe("text");
        expect("text".startsWith(damaged ?? "absent")).toBe(true);
      }
    }
    expect(kinds).toEqual(new Set(["everything", "/state/a", "/state/b"]));
  });

  test("of one version of a durable record is seen and costs that version alone", async () => {
    const versions = new Set<string | undefined>();
    for (const seed of seeds) {
      const disk = diskOf(seed);
      await writeDurably(path, "first", disk.files);
      await writeDurably(path, "second", disk.files);
      disk.lose();
      const found = await readDurable(path, disk.files);
      versions.add(found?.text);
    }
    expect(versions).toEqual(new Set(["first", "second", undefined]));
  });

  test("of an empty disk is no harm", () => {
    expect(diskOf(3).lose()).toBe("everything");
  });
});
