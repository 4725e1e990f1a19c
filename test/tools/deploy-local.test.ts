import { spawnSync } from "node:child_process";
import { expect, test } from "vitest";
import { localDeployment, outputsOf, suiteEnvironment } from "../../tools/deploy-local.ts";

test("without an emulator it refuses in one line and touches nothing", () => {
  const { PATH = "" } = process.env;
  const run = spawnSync(process.execPath, ["tools/deploy-local.ts"], {
    env: { PATH },
    encoding: "utf8",
  });
  expect(run.status).toBe(1);
  expect(run.stdout).toBe("");
  expect(run.stderr.trim().split("\n")).toEqual([expect.stringContaining("AWS_ENDPOINT_URL")]);
});

test("an address that is none is refused", () => {
  expect(() => localDeployment({ AWS_ENDPOINT_URL: "" })).toThrow(/needs AWS_ENDPOINT_URL/);
  expect(() => localDeployment({ AWS_ENDPOINT_URL: "localhost" })).toThrow(/is not a URL/);
});

test("made-up credentials are used unless some are given", () => {
  const { environment } = localDeployment({ AWS_ENDPOINT_URL: "http://localhost:4566" });
  expect(environment).toMatchObject({
    AWS_ACCESS_KEY_ID: "test",
    GATEHOUSE_AUTH: "none",
    GATEHOUSE_EMULATOR: "localhost:4566",
  });
  const given = localDeployment({ AWS_ENDPOINT_URL: "http://h:1", AWS_ACCESS_KEY_ID: "mine" });
  expect(given.environment["AWS_ACCESS_KEY_ID"]).toBe("mine");
});

const info = `service: gatehouse
endpoints:
  wss://abc.execute-api.localhost:4566/local

Stack Outputs:
  HttpApiId: abc
  SocketUrl: ws://def.execute-api.localhost:4566/local
  Bucket: gatehouse-local-bucket-1
  Table: gatehouse-local-Table-1
`;

test("the suite is told where the deployed service is", () => {
  expect(suiteEnvironment(outputsOf(info), new URL("http://localhost:4566"))).toEqual({
    GATEHOUSE_URL: "http://abc.execute-api.localhost:4566",
    GATEHOUSE_SOCKET_URL: "ws://def.execute-api.localhost:4566/local",
    GATEHOUSE_BUCKET: "gatehouse-local-bucket-1",
    GATEHOUSE_TABLE: "gatehouse-local-Table-1",
  });
});

test("a stack without an output it should have is an error", () => {
  expect(() => suiteEnvironment(outputsOf("nothing"), new URL("http://h:1"))).toThrow(/HttpApiId/);
});
