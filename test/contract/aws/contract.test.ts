import { S3Client } from "@aws-sdk/client-s3";
import { contractSuite } from "./suite.ts";

/** What `npm run deploy:local` found in the stack's outputs; endpoint and keys as SDKs read them. */
function setting(name: string): string {
  const value = process.env[name];
  if (value === undefined) throw new Error(`the contract suite needs ${name}`);
  return value;
}

const s3 = new S3Client({ forcePathStyle: true });

contractSuite(process.env["AWS_ENDPOINT_URL"] ?? "AWS", () => ({
  url: setting("GATEHOUSE_URL"),
  socketUrl: setting("GATEHOUSE_SOCKET_URL"),
  bucket: setting("GATEHOUSE_BUCKET"),
  s3,
}));
