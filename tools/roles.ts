/**
 * Who may touch what in AWS: one row per function of serverless.yml, turned into one IAM role each.
 * Rows of the table are granted by the prefix of their partition key (layers/store/keys.ts), objects
 * by the prefix of their key, sockets by what is done to them.
 */

/** What one function may do. Prefixes are partition keys up to their `#`. */
interface Permission {
  /** Partitions it reads, by key or by query. */
  readonly reads?: readonly string[];
  /** Partitions it changes or puts conditions on. */
  readonly writes?: readonly string[];
  /** Partitions it only puts conditions on. */
  readonly checks?: readonly string[];
  /** Indexes it queries. */
  readonly indexes?: readonly ("gsi1" | "gsi2" | "gsi3")[];
  /** Object prefixes it reads, or signs requests to read. */
  readonly gets?: readonly ("images" | "verified")[];
  /** Object prefixes it puts, or signs requests to put. */
  readonly puts?: readonly ("images" | "verified")[];
  /** `POST` sends over a socket, `DELETE` ends it. */
  readonly sockets?: readonly ("POST" | "DELETE")[];
  readonly stream?: boolean;
  readonly deadLetters?: boolean;
}

/** Rows that go with any change: replay protection, audit, obligations towards second systems. */
const bookkeeping = ["IDEMPOTENCY", "EVENTS", "OUTBOX", "INTENT"];
const lending = ["HOST", "CARD", "DPL", "CLAIM", "INSTANCE", "RP"];
const agentSession: Permission = {
  reads: [...lending, "CONNECTION", "FLEET", "IMAGE", "KEY", "SECRET"],
  writes: [...lending, "CONNECTION", "SECRET", "QUOTA", ...bookkeeping],
  indexes: ["gsi1", "gsi2"],
  gets: ["verified"],
};

/** Permissions by function name in serverless.yml. */
export const permissions: Readonly<Record<string, Permission>> = {
  authorizer: {},
  images: {
    reads: ["IMAGE", "KEY", ...bookkeeping],
    writes: ["IMAGE", ...bookkeeping],
    indexes: ["gsi1", "gsi2"],
    gets: ["images", "verified"],
    puts: ["images", "verified"],
  },
  keys: {
    reads: ["KEY", "IMAGE", ...bookkeeping],
    writes: ["KEY", "IMAGE", ...bookkeeping],
    indexes: ["gsi1"],
  },
  hosts: {
    reads: ["HOST", "HOSTNAME", "DPL", "CLAIM", "JOIN", "CONNECTION", "SECRET", ...bookkeeping],
    writes: ["HOST", "HOSTNAME", "JOIN", "CONNECTION", "SECRET", ...bookkeeping],
    indexes: ["gsi1"],
    sockets: ["POST", "DELETE"],
  },
  devices: {
    reads: ["HOST", "CARD", ...bookkeeping],
    writes: ["HOST", ...bookkeeping],
    indexes: ["gsi1", "gsi2"],
  },
  deployables: {
    reads: [...lending, "HOSTNAME", "PROFILE", "IMAGE", "QUOTA", ...bookkeeping],
    writes: [...lending, "QUOTA", ...bookkeeping],
    indexes: ["gsi1", "gsi2"],
  },
  claims: {
    reads: [...lending, "HOSTNAME", "IMAGE", "PROFILE", "QUOTA", "SECRET", ...bookkeeping],
    writes: [...lending, "PROFILE", "QUOTA", "SECRET", ...bookkeeping],
    checks: ["IMAGE"],
    indexes: ["gsi1", "gsi2"],
  },
  operations: { reads: ["DPL", "HOST", "CLAIM"], indexes: ["gsi1", "gsi2"] },
  profiles: {
    reads: ["PROFILE", ...bookkeeping],
    writes: ["PROFILE", ...bookkeeping],
    indexes: ["gsi1"],
  },
  quotas: {
    reads: ["QUOTA", ...bookkeeping],
    writes: ["QUOTA", ...bookkeeping],
    indexes: ["gsi1"],
  },
  catalog: { reads: ["HOST", "IMAGE"], indexes: ["gsi1", "gsi2"] },
  events: { reads: ["EVENTS"], indexes: ["gsi1", "gsi2"] },
  service: { reads: ["HOST", "OUTBOX"], indexes: ["gsi1", "gsi2", "gsi3"] },
  accelerator: {
    reads: [...lending, "HOSTNAME", "IMAGE", "PROFILE", "QUOTA", ...bookkeeping],
    writes: [...lending, "PROFILE", "QUOTA", ...bookkeeping],
    checks: ["IMAGE"],
    indexes: ["gsi1", "gsi2"],
  },
  agents: {
    ...agentSession,
    reads: [...(agentSession.reads ?? []), "JOIN", "HOSTNAME"],
    writes: [...(agentSession.writes ?? []), "JOIN", "HOSTNAME"],
  },
  connect: {
    reads: ["HOST", "CONNECTION"],
    writes: ["HOST", "CONNECTION", ...bookkeeping],
  },
  message: { ...agentSession, sockets: ["POST", "DELETE"] },
  disconnect: {
    reads: ["HOST", "CONNECTION"],
    writes: ["HOST", "CONNECTION", ...bookkeeping],
  },
  imageUploaded: {
    reads: ["IMAGE", "KEY", ...bookkeeping],
    writes: ["IMAGE", ...bookkeeping],
    indexes: ["gsi1", "gsi2", "gsi3"],
    gets: ["images", "verified"],
    puts: ["verified"],
    deadLetters: true,
  },
  tableChanged: {
    reads: [...lending, "CONNECTION", "IMAGE", "SECRET", ...bookkeeping],
    writes: [...lending, "CONNECTION", ...bookkeeping],
    checks: ["IMAGE"],
    indexes: ["gsi1", "gsi2"],
    gets: ["verified"],
    sockets: ["POST", "DELETE"],
    stream: true,
    deadLetters: true,
  },
  openstack: {
    reads: [...lending, "HOSTNAME", "IMAGE", "PROFILE", "QUOTA", ...bookkeeping],
    writes: [...lending, "PROFILE", "QUOTA"],
    indexes: ["gsi1", "gsi2", "gsi3"],
  },
  openstackChanged: {
    reads: [...lending, "HOSTNAME", "IMAGE", "QUOTA", ...bookkeeping],
    writes: [...lending, "QUOTA", ...bookkeeping],
    indexes: ["gsi1", "gsi2"],
    stream: true,
    deadLetters: true,
  },
  openstackClock: {
    reads: [...lending, "HOSTNAME", "IMAGE", "QUOTA", ...bookkeeping],
    writes: [...lending, "PROFILE", "QUOTA", ...bookkeeping],
    indexes: ["gsi1", "gsi2", "gsi3"],
  },
  glance: {
    reads: ["GLANCE", "IMAGE", "KEY", ...bookkeeping],
    writes: ["GLANCE", "IMAGE", ...bookkeeping],
    indexes: ["gsi1", "gsi3"],
    gets: ["images", "verified"],
    puts: ["images", "verified"],
  },
  sweep: {
    reads: [...lending, "CONNECTION", "FLEET", "IMAGE", "QUOTA", "JOIN", "PROFILE", ...bookkeeping],
    writes: [
      ...lending,
      "CONNECTION",
      "FLEET",
      "IMAGE",
      "PROFILE",
      "QUOTA",
      "JOIN",
      ...bookkeeping,
    ],
    indexes: ["gsi1", "gsi2", "gsi3"],
    gets: ["verified"],
    sockets: ["POST", "DELETE"],
  },
};

interface Statement {
  readonly Effect: "Allow";
  readonly Action: readonly string[];
  readonly Resource: unknown;
  readonly Condition?: unknown;
}

const bucket = { "Fn::GetAtt": ["Bucket", "Arn"] };
const table = { "Fn::GetAtt": ["Table", "Arn"] };
const sub = (text: string): unknown => ({ "Fn::Sub": text });

function rows(actions: readonly string[], prefixes: readonly string[]): Statement[] {
  if (prefixes.length === 0) return [];
  const keys = [...new Set(prefixes)].sort().map((prefix) => `${prefix}#*`);
  return [
    {
      Effect: "Allow",
      Action: actions.map((action) => `dynamodb:${action}`),
      Resource: table,
      Condition: { "ForAllValues:StringLike": { "dynamodb:LeadingKeys": keys } },
    },
  ];
}

function allow(actions: readonly string[], resources: readonly unknown[]): Statement[] {
  return resources.length === 0 ? [] : [{ Effect: "Allow", Action: actions, Resource: resources }];
}

function statementsOf(name: string, it: Permission): Statement[] {
  const logs = "arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:log-group";
  const api =
    "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${WebsocketsApi}/*";
  const objects = (prefixes: readonly string[] = []): unknown[] =>
    prefixes.map((prefix) => sub(`\${Bucket.Arn}/${prefix}/*`));
  return [
    ...allow(
      ["logs:CreateLogStream", "logs:PutLogEvents"],
      [sub(`${logs}:/aws/lambda/\${AWS::StackName}-${name}:*`)],
    ),
    ...rows(["GetItem", "BatchGetItem", "Query"], it.reads ?? []),
    ...rows(["PutItem", "UpdateItem", "DeleteItem", "ConditionCheckItem"], it.writes ?? []),
    ...rows(["ConditionCheckItem"], it.checks ?? []),
    ...allow(
      ["dynamodb:Query"],
      (it.indexes ?? []).map((index) => sub(`\${Table.Arn}/index/${index}`)),
    ),
    ...allow(
      ["s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectTagging", "s3:GetObjectVersionTagging"],
      objects(it.gets),
    ),
    ...allow(["s3:PutObject", "s3:PutObjectTagging", "s3:AbortMultipartUpload"], objects(it.puts)),
    // Without it S3 answers 403 instead of 404 for an object that is not there.
    ...allow(["s3:ListBucket"], it.gets?.includes("images") === true ? [bucket] : []),
    ...allow(
      ["execute-api:ManageConnections"],
      (it.sockets ?? []).map((method) => sub(`${api}/${method}/@connections/*`)),
    ),
    ...allow(
      [
        "dynamodb:DescribeStream",
        "dynamodb:GetRecords",
        "dynamodb:GetShardIterator",
        "dynamodb:ListStreams",
      ],
      it.stream === true ? [{ "Fn::GetAtt": ["Table", "StreamArn"] }] : [],
    ),
    ...allow(
      ["sqs:SendMessage"],
      it.deadLetters === true ? [{ "Fn::GetAtt": ["DeadLetters", "Arn"] }] : [],
    ),
  ];
}

/** The logical id of a function's role: `images` → `ImagesRole`. */
export function roleId(name: string): string {
  return `${name.charAt(0).toUpperCase()}${name.slice(1)}Role`;
}

/** The IAM roles as CloudFormation resources, by logical id. */
export const roles: Readonly<Record<string, unknown>> = Object.fromEntries(
  Object.entries(permissions).map(([name, permission]) => [
    roleId(name),
    {
      Type: "AWS::IAM::Role",
      Properties: {
        AssumeRolePolicyDocument: {
          Version: "2012-10-17",
          Statement: [
            {
              Effect: "Allow",
              Principal: { Service: "lambda.amazonaws.com" },
              Action: "sts:AssumeRole",
            },
          ],
        },
        Policies: [
          {
            PolicyName: name,
            PolicyDocument: { Version: "2012-10-17", Statement: statementsOf(name, permission) },
          },
        ],
      },
    },
  ]),
);
