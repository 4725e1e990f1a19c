import { type BucketServerOptions, startBucketServer } from "../../../localstack/bucket/server.ts";

/**
 * A server in a process of its own, to be killed or weighed: the options come as JSON, then it
 * says its endpoint, and its peak memory in kilobytes whenever asked.
 */
const options = JSON.parse(process.argv[2] ?? "{}") as BucketServerOptions;
const server = await startBucketServer(options);
process.send?.(server.endpoint);
process.on("message", () => process.send?.(process.resourceUsage().maxRSS));
process.on("disconnect", () => process.exit());
