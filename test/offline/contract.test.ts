import { afterAll, beforeAll } from "vitest";
import { contractSuite } from "../contract/aws/suite.ts";
import { type Offline, startOffline } from "./support.ts";

let offline: Offline;

beforeAll(async () => {
  offline = await startOffline();
});

afterAll(async () => {
  await offline.close();
});

contractSuite("the offline cloud", () => ({
  url: offline.cloud.url,
  socketUrl: offline.cloud.socketUrl,
  bucket: offline.cloud.bucket,
  s3: offline.s3,
}));
