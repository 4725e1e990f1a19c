import { afterAll, beforeAll, expect, test } from "vitest";
import { runTour } from "../../localstack/tour/tour.ts";
import { type Offline, startOffline } from "./support.ts";

let offline: Offline;

beforeAll(async () => {
  offline = await startOffline();
  await offline.addHost("host-1");
});

afterAll(async () => {
  await offline.close();
});

test("the tour travels from an upload to a programmed card and back", async () => {
  const lines: string[] = [];
  await runTour({
    api: offline.as("default"),
    s3: offline.s3,
    bucket: offline.cloud.bucket,
    project: "default",
    say: (line) => lines.push(line),
  });
  const told = lines.join("\n");
  expect(told).toContain("the card says function c0ffee00-5eed-4a11-8000-00000000c4a7");
  expect(told).toContain("<hostdev mode='subsystem' type='pci' managed='no'>");
  expect(told).toContain("IN_USE");
  expect(told).toMatch(/scrubbed, receipt \d+ signed by the agent/);
});
