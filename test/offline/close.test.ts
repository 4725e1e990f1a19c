import { expect, test } from "vitest";
import { claimOne, until } from "../../localstack/tour/steps.ts";
import { offered, startOffline } from "./support.ts";

test("a cloud closes at once while wishes are still on their way to agents", async () => {
  const offline = await startOffline();
  await offline.addHost("host-1", { sriov: 1 });
  const api = offline.as("acme");
  const card = await until("every handle to be free", async () => {
    const [one] = await offered(api, 1);
    return one?.handles.every(({ state }) => state === "free") === true ? one : undefined;
  });
  const { s3, cloud } = offline;
  const context = { api, s3, bucket: cloud.bucket, project: "acme", say: () => undefined };
  const asked = { resourceClass: card.resourceClass };
  await Promise.all([1, 2, 3, 4].map(async () => await claimOne(context, asked)));
  const began = performance.now();
  await offline.close();
  expect(performance.now() - began).toBeLessThan(5000);
});
