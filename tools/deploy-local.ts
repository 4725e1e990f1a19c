import { spawnSync } from "node:child_process";
import { dirname, join } from "node:path";
import { buildAll } from "./build.ts";

/** Settings of a deployment into an emulator, from the environment. */
export interface LocalDeployment {
  /** Where the emulator answers, e.g. `http://localhost:4566`. */
  readonly endpoint: URL;
  /** What `serverless` and the suite are started with. */
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/**
 * Reads the settings. Throws with one clear line when no emulator is named: without
 * AWS_ENDPOINT_URL the same commands would reach for a real account.
 */
export function localDeployment(
  environment: Readonly<Record<string, string | undefined>>,
): LocalDeployment {
  const given = environment["AWS_ENDPOINT_URL"];
  if (given === undefined || given === "")
    throw new Error(
      "deploy:local needs AWS_ENDPOINT_URL, e.g. http://localhost:4566 (see localstack/compose.yml)",
    );
  if (!URL.canParse(given)) throw new Error(`AWS_ENDPOINT_URL is not a URL: ${given}`);
  const endpoint = new URL(given);
  return {
    endpoint,
    environment: {
      AWS_REGION: "us-east-1",
      AWS_ACCESS_KEY_ID: "test",
      AWS_SECRET_ACCESS_KEY: "test",
      GATEHOUSE_AUTH: "none",
      ...environment,
      AWS_ENDPOINT_URL: given,
      GATEHOUSE_EMULATOR: endpoint.host,
    },
  };
}

/** Reads the stack's outputs from what `serverless info --verbose` prints. */
export function outputsOf(text: string): Readonly<Record<string, string>> {
  const [, section = ""] = text.split(/^Stack Outputs:?\s*$/m);
  const lines = section.matchAll(/^\s+(\w+): (\S+)$/gm);
  return Object.fromEntries([...lines].map(([, name = "", value = ""]) => [name, value]));
}

/**
 * Where the suite finds the deployed service. Emulators route by host name, `<api>.execute-api.`
 * before their own. Throws when an output is missing.
 */
export function suiteEnvironment(
  outputs: Readonly<Record<string, string>>,
  endpoint: URL,
): Readonly<Record<string, string>> {
  const output = (name: string): string => {
    const value = outputs[name];
    if (value === undefined) throw new Error(`the stack has no output ${name}`);
    return value;
  };
  return {
    GATEHOUSE_URL: `${endpoint.protocol}//${output("HttpApiId")}.execute-api.${endpoint.host}`,
    GATEHOUSE_SOCKET_URL: output("SocketUrl"),
    GATEHOUSE_BUCKET: output("Bucket"),
    GATEHOUSE_TABLE: output("Table"),
  };
}

/** What to start: a script below node_modules with its arguments. `quiet` keeps its output. */
interface Command {
  readonly script: string;
  readonly args: readonly string[];
  readonly quiet?: boolean;
}

function run(root: string, command: Command, env: LocalDeployment["environment"]): string {
  const { script, args, quiet = false } = command;
  const result = spawnSync(process.execPath, [join(root, "node_modules", script), ...args], {
    cwd: root,
    env: { ...env },
    encoding: "utf8",
    stdio: ["ignore", quiet ? "pipe" : "inherit", "inherit"],
  });
  if (result.status !== 0) throw new Error(`${script} ${args.join(" ")} failed`);
  return quiet ? result.stdout : "";
}

async function main(): Promise<void> {
  const root = dirname(import.meta.dirname);
  const { endpoint, environment } = localDeployment(process.env);
  const script = "serverless/bin/serverless.js";
  const options = ["--stage", "local", "--verbose"];
  await buildAll(root);
  run(root, { script, args: ["deploy", ...options] }, environment);
  const info = run(root, { script, args: ["info", ...options], quiet: true }, environment);
  const found = suiteEnvironment(outputsOf(info), endpoint);
  console.log(JSON.stringify(found, null, 2));
  const suite = { script: "vitest/vitest.mjs", args: ["run", "test/contract/aws"] };
  run(root, suite, { ...environment, ...found });
}

if (import.meta.main) {
  try {
    await main();
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
}
