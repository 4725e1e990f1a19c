import { AsyncLocalStorage } from "node:async_hooks";
import { ApiGatewayManagementApiClient } from "@aws-sdk/client-apigatewaymanagementapi";
import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { S3Client } from "@aws-sdk/client-s3";

/** What a function did to AWS, in the words of IAM. */
export interface Access {
  readonly functionName: string;
  readonly action: string;
  /** Partition keys of rows, `index/gsi1`, or an object key. */
  readonly on: readonly string[];
}

type Input = Readonly<Record<string, unknown>>;

const running = new AsyncLocalStorage<string>();

/** Runs a function's call so that what it does is written down under its name. */
export const around = async (name: string, run: () => Promise<unknown>): Promise<unknown> =>
  await running.run(name, run);

const pkOf = (key: unknown) => (key as { pk?: { S?: string } } | undefined)?.pk?.S ?? "";

/** Each write of a transaction needs the right of its own kind. */
function transaction(input: Input): readonly Omit<Access, "functionName">[] {
  return (input["TransactItems"] as Readonly<Record<string, Input>>[]).flatMap((item) =>
    Object.entries(item).map(([kind, { Key, Item }]) => ({
      action: kind === "ConditionCheck" ? "ConditionCheckItem" : `${kind}Item`,
      on: [pkOf(Key ?? Item)],
    })),
  );
}

function tableAccess(command: string, input: Input): readonly Omit<Access, "functionName">[] {
  if (command === "TransactWriteItems") return transaction(input);
  if (command === "Query") {
    const { IndexName, ExpressionAttributeValues } = input;
    const values = Object.values(ExpressionAttributeValues as Record<string, { S?: string }>);
    const pk = values[0]?.S ?? "";
    return [{ action: command, on: [typeof IndexName === "string" ? `index/${IndexName}` : pk] }];
  }
  if (command === "BatchGetItem") {
    const tables = Object.values(input["RequestItems"] as Record<string, { Keys: unknown[] }>);
    return [{ action: command, on: tables.flatMap(({ Keys }) => Keys.map(pkOf)) }];
  }
  return [{ action: command, on: [pkOf(input["Key"] ?? input["Item"])] }];
}

/** Rights that S3 asks for; a version needs the right of its own name. */
function bucketAccess(command: string, input: Input): readonly Omit<Access, "functionName">[] {
  const on = [String(input["Key"])];
  const version = input["VersionId"] === undefined ? "" : "Version";
  if (command === "CopyObject") {
    const source = decodeURIComponent(String(input["CopySource"]).replace(/\?.*$/, ""));
    const from = source.slice(source.indexOf("/") + 1);
    const action = String(input["CopySource"]).includes("versionId=")
      ? "GetObjectVersion"
      : "GetObject";
    return [
      { action, on: [from] },
      { action: "PutObject", on },
    ];
  }
  if (command === "GetObjectTagging") return [{ action: `GetObject${version}Tagging`, on }];
  // Without ListBucket S3 answers 403 instead of 404 for an object that is not there.
  if (command === "HeadObject") {
    return [
      { action: `GetObject${version}`, on },
      { action: "ListBucket", on: [] },
    ];
  }
  if (multipart.has(command)) return [{ action: "PutObject", on }];
  return [{ action: command === "GetObject" ? `GetObject${version}` : command, on }];
}

/** Requests that need the right to put the whole object. */
const multipart: ReadonlySet<string> = new Set([
  "CreateMultipartUpload",
  "UploadPart",
  "CompleteMultipartUpload",
]);

const readers = new Map<unknown, { service: string; read: typeof tableAccess }>([
  [DynamoDBClient, { service: "dynamodb", read: tableAccess }],
  [S3Client, { service: "s3", read: bucketAccess }],
  [
    ApiGatewayManagementApiClient,
    {
      service: "execute-api",
      read: (command: string) => [
        { action: "ManageConnections", on: [command.startsWith("Delete") ? "DELETE" : "POST"] },
      ],
    },
  ],
]);

/** Writes down every SDK call that functions make, until the returned function is called. */
export function recordAccess(accesses: Access[]): () => void {
  const prototype = Object.getPrototypeOf(DynamoDBClient.prototype) as {
    send: (command: { constructor: { name: string }; input: Input }, ...rest: unknown[]) => unknown;
  };
  const { send } = prototype;
  prototype.send = function recorded(command, ...rest) {
    const functionName = running.getStore();
    const reader = readers.get((this as object).constructor);
    if (functionName !== undefined && reader !== undefined) {
      const name = command.constructor.name.replace(/Command\d*$/, "");
      for (const { action, on } of reader.read(name, command.input)) {
        accesses.push({ functionName, action: `${reader.service}:${action}`, on });
      }
    }
    return send.call(this, command, ...rest);
  };
  return () => {
    prototype.send = send;
  };
}

interface Statement {
  readonly Action: readonly string[];
  readonly Resource: unknown;
  readonly Condition?: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>;
}

const glob = (pattern: string, text: string) =>
  new RegExp(
    `^${pattern
      .split("*")
      .map((part) => part.replaceAll(/[.+?^${}()|[\]\\]/g, "\\$&"))
      .join(".*")}$`,
    "s",
  ).test(text);

function resourceMatches(resource: unknown, { action, on }: Access): boolean {
  const text = JSON.stringify(resource);
  if (action.startsWith("s3:Get") || action.startsWith("s3:Put")) {
    return on.every((key) => glob(`*Bucket.Arn}/${key.split("/")[0]}/*`, text));
  }
  if (action.startsWith("execute-api:"))
    return on.every((method) => text.includes(`/${method}/@connections`));
  const [first = ""] = on;
  return (
    first.startsWith("index/") === text.includes("/index/") &&
    (!first.startsWith("index/") || text.includes(first))
  );
}

/** True when a role's statements allow an access, as far as this service's policies go. */
export function isAllowed(statements: readonly Statement[], access: Access): boolean {
  return statements.some(({ Action, Resource, Condition }) => {
    if (!Action.includes(access.action)) return false;
    const resources = Array.isArray(Resource) ? Resource : [Resource];
    if (!resources.some((one) => resourceMatches(one, access))) return false;
    const keys = Condition?.["ForAllValues:StringLike"]?.["dynamodb:LeadingKeys"];
    return keys === undefined || access.on.every((pk) => keys.some((key) => glob(key, pk)));
  });
}
