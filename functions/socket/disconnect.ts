import type { APIGatewayProxyWebsocketEventV2 } from "aws-lambda";
import { closeConnection } from "#store/connections";
import { type Create, entry } from "../entry.ts";
import { storeFrom } from "../parts/store.ts";

/**
 * `$disconnect`: best effort, so it only tidies up. That a host is silent is found out by its
 * missing pings, never by a closed socket.
 */
export const create: Create = (environment) => {
  const store = storeFrom(environment);
  return async (event) => {
    await closeConnection(
      store,
      (event as APIGatewayProxyWebsocketEventV2).requestContext.connectionId,
    );
    return { statusCode: 200 };
  };
};

export const handler = entry(create);
