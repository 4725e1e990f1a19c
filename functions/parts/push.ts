import {
  ApiGatewayManagementApiClient,
  DeleteConnectionCommand,
  GoneException,
  PostToConnectionCommand,
} from "@aws-sdk/client-apigatewaymanagementapi";
import { encodeMessage } from "#protocol/wire/codec";
import type { CloudMessage } from "#protocol/wire/messages";
import type { Environment } from "../entry.ts";
import { clientConfig } from "./client.ts";
import { settingsFrom } from "./settings.ts";

/** Sends to open sockets. A push only says "look": one that is lost costs latency, nothing else. */
export interface Push {
  /** False when the socket is gone. */
  send(connection: string, message: CloudMessage): Promise<boolean>;
  close(connection: string): Promise<void>;
}

/**
 * True for what fits into a frame. What does not is logged and passed over: trying again cannot help,
 * and it must not hold up what is for other deployables.
 */
export function isSendable(message: CloudMessage): boolean {
  try {
    return encodeMessage(message) !== "";
  } catch (error) {
    const about = "deployable" in message ? message.deployable : undefined;
    console.error(JSON.stringify({ level: "error", message: String(error), about }));
    return false;
  }
}

/** The gateway's management API of this installation. */
export function pushFrom(environment: Environment): Push {
  const client = new ApiGatewayManagementApiClient({
    ...clientConfig(environment, "DYNAMODB"),
    endpoint: settingsFrom(environment).socketEndpoint,
  });
  return {
    async send(connection, message) {
      try {
        const Data = Buffer.from(encodeMessage(message));
        await client.send(new PostToConnectionCommand({ ConnectionId: connection, Data }));
        return true;
      } catch (error) {
        if (error instanceof GoneException) return false;
        throw error;
      }
    },
    async close(connection) {
      try {
        await client.send(new DeleteConnectionCommand({ ConnectionId: connection }));
      } catch (error) {
        if (!(error instanceof GoneException)) throw error;
      }
    },
  };
}
