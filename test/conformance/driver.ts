import { describe, expect, test } from "vitest";
import * as z from "zod/mini";
import { type FaultCode, isFault } from "#domain/faults";
import { inventoryDevice } from "#protocol/wire/inventory";
import { health, loaded } from "#protocol/wire/shapes";
import type { Driver, Place, VerifiedImage } from "../../agent/drivers/driver.ts";
import { places, recordedWork } from "../agent/driver-fixtures.ts";

/** A driver over cards, and the hands that the suite needs to put them into states. */
export interface DriverSubject {
  readonly driver: Driver;
  /** An image that fits the place; `n` chooses one of two functions. */
  image(place: Place, n: 1 | 2): VerifiedImage;
  /** The handle goes to a guest and stays there until the returned call. */
  intoGuest(place: Place, handle: string): Promise<() => Promise<void>>;
  /** The next program of the region fails in its transfer. */
  failNext(place: Place): Promise<void>;
  /** Makes the whole card unreadable. */
  breakCard(place: Place): Promise<void>;
  /** Takes the card off the bus. */
  removeCard(place: Place): Promise<void>;
}

/** Tests that a driver cannot run, and why. */
export interface DriverException {
  readonly reason: string;
  readonly tests: readonly DriverTest[];
}

type Body = (subject: DriverSubject) => Promise<void>;
export type DriverTest = keyof typeof tests;

const fault = (code: FaultCode) => expect.toSatisfy((error) => isFault(error, code));
const stranger = "11111111-2222-4333-8444-555555555555";

async function programmable(driver: Driver): Promise<readonly Place[]> {
  return [...(await places(driver)).values()].filter((one) => one.deployable.programmable);
}

/** The same place as the driver finds it now. */
async function again(driver: Driver, { device, deployable }: Place): Promise<Place> {
  const found = (await places(driver)).get(`${device.cardId} ${deployable.region}`);
  if (!found) throw new Error(`${deployable.region} is not there any more`);
  return found;
}

const tests = {
  "finds cards that the wire's schema takes, each part once": async ({ driver }) => {
    const { devices, problems } = await driver.discover();
    expect(devices.length).toBeGreaterThan(0);
    expect(problems).toEqual([]);
    for (const device of devices) z.parse(inventoryDevice, device);
    const deployables = devices.flatMap((device) => device.deployables);
    const handles = deployables.flatMap((deployable) => deployable.handles);
    const unique = (values: readonly string[]) => expect(new Set(values).size).toBe(values.length);
    unique(devices.map(({ cardId }) => cardId));
    unique(deployables.map(({ id }) => id));
    unique(handles.map(({ address }) => address));
  },

  "says the same twice and changes nothing by looking": async ({ driver }) => {
    expect(await driver.discover()).toEqual(await driver.discover());
  },

  "names a reason for every handle that cannot be attached": async ({ driver }) => {
    for (const { deployable } of (await places(driver)).values()) {
      for (const { attachable, reason } of deployable.handles) {
        expect(attachable || reason !== undefined).toBe(true);
      }
    }
  },

  "tells what programmable regions take, and how everything is scrubbed": async ({ driver }) => {
    for (const { deployable } of (await places(driver)).values()) {
      expect(deployable.scrubMethod).toBeDefined();
      expect(deployable.interfaceId !== undefined).toBe(deployable.programmable);
    }
  },

  "observes what it discovered": async ({ driver }) => {
    for (const place of (await places(driver)).values()) {
      const seen = await driver.observe(place);
      z.parse(loaded, seen.loaded);
      z.parse(health, seen.health);
      expect(seen.loaded).toEqual(place.deployable.loaded);
      expect(seen.health).toEqual(place.deployable.health);
    }
  },

  "loads an image that the card then names, and another after it": async (subject) => {
    const { driver } = subject;
    for (const place of await programmable(driver)) {
      for (const n of [1, 2] as const) {
        const image = subject.image(place, n);
        await driver.program(place, image, recordedWork());
        expect((await driver.observe(place)).loaded.functionId).toBe(image.functionId);
      }
    }
  },

  "leaves the neighbours of a programmed region alone": async (subject) => {
    const { driver } = subject;
    const all = await programmable(driver);
    for (const place of all) {
      const others = all.filter((one) => one !== place);
      const before = await Promise.all(others.map((one) => driver.observe(one)));
      await driver.program(place, subject.image(place, 1), recordedWork());
      expect(await Promise.all(others.map((one) => driver.observe(one)))).toEqual(before);
    }
  },

  "reports progress that only grows, up to the end": async (subject) => {
    const [place] = await programmable(subject.driver);
    if (!place) throw new Error("nothing programmable");
    const work = recordedWork();
    await subject.driver.program(place, subject.image(place, 1), work);
    expect(work.seen).toEqual(work.seen.toSorted((a, b) => a - b));
    expect(work.seen[0]).toBe(0);
    expect(work.seen.at(-1)).toBe(100);
  },

  "refuses an image for another shell and touches nothing": async (subject) => {
    const { driver } = subject;
    for (const place of (await places(driver)).values()) {
      const before = await driver.observe(place);
      const image = { ...subject.image(place, 1), interfaceId: stranger };
      await expect(driver.program(place, image, recordedWork())).rejects.toEqual(
        fault("IMAGE_INCOMPATIBLE"),
      );
      expect(await driver.observe(place)).toEqual(before);
    }
  },

  "programs and scrubs nothing while a guest has a handle": async (subject) => {
    const { driver } = subject;
    for (const place of (await places(driver)).values()) {
      const method = place.deployable.scrubMethod ?? "reset";
      const [handle] = place.deployable.handles;
      if (!handle) throw new Error("no handle");
      const leave = await subject.intoGuest(place, handle.name);
      const now = await again(driver, place);
      if (place.deployable.programmable) {
        const program = driver.program(now, subject.image(place, 1), recordedWork());
        await expect(program).rejects.toEqual(fault("IN_USE"));
      }
      await expect(driver.scrub(now, method, recordedWork())).rejects.toEqual(fault("IN_USE"));
      await expect(driver.cleanHandle(now, handle.name)).rejects.toEqual(fault("IN_USE"));
      await leave();
      await driver.scrub(await again(driver, place), method, recordedWork());
    }
  },

  "starts nothing irreversible once it is called off": async (subject) => {
    const { driver } = subject;
    const stop = AbortSignal.abort(new Error("superseded"));
    for (const place of await programmable(driver)) {
      const before = await driver.observe(place);
      const image = subject.image(place, 1);
      await expect(driver.program(place, image, recordedWork(stop))).rejects.toThrow("superseded");
      await expect(driver.scrub(place, "erase", recordedWork(stop))).rejects.toThrow("superseded");
      expect(await driver.observe(place)).toEqual(before);
    }
  },

  "scrubs every region by its own method, erase leaving nothing loaded": async (subject) => {
    const { driver } = subject;
    for (const place of (await places(driver)).values()) {
      const { programmable, scrubMethod } = place.deployable;
      if (programmable) await driver.program(place, subject.image(place, 1), recordedWork());
      const work = recordedWork();
      await driver.scrub(place, scrubMethod ?? "reset", work);
      expect(work.seen.at(-1)).toBe(100);
      const { functionId } = (await driver.observe(place)).loaded;
      if (scrubMethod === "erase") expect(functionId).toBeNull();
    }
  },

  "resets without unloading": async (subject) => {
    const { driver } = subject;
    const [place] = await programmable(driver);
    if (!place) throw new Error("nothing programmable");
    const image = subject.image(place, 1);
    await driver.program(place, image, recordedWork());
    await driver.scrub(place, "reset", recordedWork());
    expect((await driver.observe(place)).loaded.functionId).toBe(image.functionId);
  },

  "cleans one handle, and only one that it has": async ({ driver }) => {
    for (const place of (await places(driver)).values()) {
      for (const { name } of place.deployable.handles) await driver.cleanHandle(place, name);
      await expect(driver.cleanHandle(place, "nobody")).rejects.toEqual(fault("INVALID_REQUEST"));
    }
  },

  "fails with a word for it, and the next try may succeed": async (subject) => {
    const { driver } = subject;
    for (const place of await programmable(driver)) {
      const image = subject.image(place, 1);
      await subject.failNext(place);
      await expect(driver.program(place, image, recordedWork())).rejects.toEqual(
        fault("PROGRAM_FAILED"),
      );
      await driver.program(place, image, recordedWork());
      expect((await driver.observe(place)).loaded.functionId).toBe(image.functionId);
      expect(["ok", "unmonitored"]).toContain((await driver.observe(place)).health.state);
    }
  },

  "calls a failed erase a failed scrub": async (subject) => {
    const { driver } = subject;
    for (const place of await programmable(driver)) {
      await subject.failNext(place);
      await expect(driver.scrub(place, "erase", recordedWork())).rejects.toEqual(
        fault("SCRUB_FAILED"),
      );
    }
  },

  "shows all other cards when one is broken": async (subject) => {
    const { driver } = subject;
    const before = await driver.discover();
    const [place] = (await places(driver)).values();
    if (!place) throw new Error("no card");
    await subject.breakCard(place);
    const after = await driver.discover();
    expect(after.devices).toEqual(
      before.devices.filter(({ cardId }) => cardId !== place.device.cardId),
    );
    expect(after.problems).toHaveLength(1);
  },

  "says that a card is gone, whatever it is asked to do": async (subject) => {
    const { driver } = subject;
    for (const place of (await places(driver)).values()) {
      await subject.removeCard(place);
      const gone = fault("CARD_GONE");
      const image = subject.image(place, 1);
      await expect(driver.observe(place)).rejects.toEqual(gone);
      await expect(driver.program(place, image, recordedWork())).rejects.toEqual(gone);
      await expect(driver.scrub(place, "reset", recordedWork())).rejects.toEqual(gone);
      await expect(driver.cleanHandle(place, "vf0")).rejects.toEqual(gone);
    }
    expect((await driver.discover()).devices).toEqual([]);
  },
} satisfies Record<string, Body>;

/** What every driver must do. Each test gets a subject of its own. */
export function driverConformance(
  name: string,
  subject: () => Promise<DriverSubject> | DriverSubject,
  exceptions: readonly DriverException[] = [],
): void {
  const excused = new Map(
    exceptions.flatMap(({ reason, tests }) => tests.map((one) => [one as string, reason])),
  );
  describe(`the driver ${name}`, () => {
    for (const [title, body] of Object.entries<Body>(tests)) {
      const reason = excused.get(title);
      if (reason !== undefined) test.skip(`${title} (excused: ${reason})`);
      else test(title, async () => body(await subject()));
    }
  });
}
