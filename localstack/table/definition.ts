import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import type { CreateTableCommandInput } from "@aws-sdk/client-dynamodb";
import { parse } from "yaml";
import { Fault } from "#domain/faults";

/** What is needed to create the table as the deployment does. */
export interface TableDefinition {
  readonly create: Omit<CreateTableCommandInput, "TableName">;
  /** The attribute with the time (seconds since 1970) after which a row may be cleaned up. */
  readonly expires?: string;
}

interface Resource {
  readonly Type?: string;
  readonly Properties?: TableProperties;
}

interface TableProperties
  extends Pick<
    CreateTableCommandInput,
    "BillingMode" | "KeySchema" | "AttributeDefinitions" | "GlobalSecondaryIndexes"
  > {
  readonly StreamSpecification?: { readonly StreamViewType?: "NEW_AND_OLD_IMAGES" };
  readonly TimeToLiveSpecification?: { readonly AttributeName?: string };
}

/**
 * The table's definition out of `serverless.yml`, so that the offline table is the deployed one.
 * `resources` may be written there or taken in by `${file(…)}`. Throws INTERNAL when it names no
 * table.
 */
export function readTableDefinition(serverlessYml: string): TableDefinition {
  const { resources } = load(serverlessYml) as { resources?: unknown };
  const blocks = Array.isArray(resources) ? (resources as readonly unknown[]) : [resources];
  for (const block of blocks) {
    const properties = Object.values(template(block, serverlessYml)?.Resources ?? {}).find(
      ({ Type }) => Type === "AWS::DynamoDB::Table",
    )?.Properties;
    if (properties !== undefined) return fromProperties(properties);
  }
  throw new Fault("INTERNAL", `${serverlessYml} names no AWS::DynamoDB::Table`);
}

function template(
  block: unknown,
  from: string,
): { readonly Resources?: Readonly<Record<string, Resource>> } | undefined {
  const file = typeof block === "string" ? /^\$\{file\(([^)]+)\)\}$/.exec(block)?.[1] : undefined;
  const found = file === undefined ? block : load(resolve(dirname(from), file));
  return typeof found === "object" && found !== null ? found : undefined;
}

function load(path: string): unknown {
  // CloudFormation's own tags (!Ref, !Sub) are unknown to YAML and of no interest here.
  return parse(readFileSync(path, "utf8"), { logLevel: "silent" });
}

function fromProperties(properties: TableProperties): TableDefinition {
  const { BillingMode, KeySchema, AttributeDefinitions, GlobalSecondaryIndexes } = properties;
  const view = properties.StreamSpecification?.StreamViewType;
  const expires = properties.TimeToLiveSpecification?.AttributeName;
  return {
    create: {
      BillingMode,
      KeySchema,
      AttributeDefinitions,
      GlobalSecondaryIndexes,
      ...(view && { StreamSpecification: { StreamEnabled: true, StreamViewType: view } }),
    },
    ...(expires !== undefined && { expires }),
  };
}
