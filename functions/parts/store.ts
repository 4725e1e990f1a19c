import { setTimeout as sleep } from "node:timers/promises";
import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { dynamoTable } from "#store/dynamo-table";
import { plainProtocol } from "#store/plain-codec";
import type { Store } from "#store/store";
import type { Environment } from "../entry.ts";
import { clientConfig } from "./client.ts";
import { settingsFrom } from "./settings.ts";

/** The state table of this installation, with the real clock and randomness. */
export function storeFrom(environment: Environment): Store {
  const client = new DynamoDBClient({
    ...clientConfig(environment, "DYNAMODB"),
    protocolSettings: plainProtocol(),
    // Nothing changes the middleware between requests.
    cacheMiddleware: true,
  });
  // It copies every request and answer for a logger that nobody reads: a tenth of a claim's CPU.
  client.middlewareStack.remove("loggerMiddleware");
  // It tells AWS about the SDK, and spells that out anew for every request.
  client.middlewareStack.remove("getUserAgentMiddleware");
  return {
    table: dynamoTable(client, settingsFrom(environment).table),
    now: Date.now,
    random: Math.random,
    sleep: async (ms) => {
      await sleep(ms);
    },
  };
}
