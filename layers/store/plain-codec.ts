import { randomUUID } from "node:crypto";
import { errorTypeRegistries } from "@aws-sdk/client-dynamodb";

/**
 * Requests and answers of the table go over the wire as they are: the table port writes and reads
 * DynamoDB's JSON itself, and neither binary values nor dates occur in its commands. The SDK's own
 * codec walks a schema for each value, copies it, and took a quarter of a claim's processor time.
 */

/** Makes a token for a transaction that brings none, as the SDK's own codec does. */
function withToken(value: unknown): unknown {
  const isTransaction =
    typeof value === "object" &&
    value !== null &&
    "TransactItems" in value &&
    !("ClientRequestToken" in value);
  return isTransaction ? { ...value, ClientRequestToken: randomUUID() } : value;
}

class PlainSerializer {
  #body: Buffer = Buffer.alloc(0);

  setSerdeContext(): void {
    // Nothing here depends on the client's encoders.
  }

  write(_schema: unknown, value: unknown): void {
    this.#body = Buffer.from(JSON.stringify(withToken(value)));
  }

  flush(): Uint8Array {
    return this.#body;
  }
}

class PlainDeserializer {
  setSerdeContext(): void {
    // Nothing here depends on the client's decoders.
  }

  read(_schema: unknown, data: Uint8Array | string): unknown {
    const text =
      typeof data === "string"
        ? data
        : Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString();
    return JSON.parse(text);
  }

  /** A member of an error, which was read already. */
  readObject(_schema: unknown, value: unknown): unknown {
    return value;
  }
}

class PlainCodec {
  setSerdeContext(): void {
    // As its parts.
  }

  createSerializer(): PlainSerializer {
    return new PlainSerializer();
  }

  createDeserializer(): PlainDeserializer {
    return new PlainDeserializer();
  }
}

/**
 * What a `DynamoDBClient` takes as `protocolSettings` to speak so. Only for a client that belongs to
 * a `dynamoTable`: other commands have dates and bytes in their answers.
 */
export function plainProtocol() {
  return {
    defaultNamespace: "com.amazonaws.dynamodb",
    errorTypeRegistries,
    version: "2012-08-10",
    serviceTarget: "DynamoDB_20120810",
    jsonCodec: new PlainCodec(),
  };
}
