import { expect, test } from "vitest";
import { compilePattern } from "../../../localstack/triggers/pattern.ts";

const event = {
  source: "aws.s3",
  "detail-type": "Object Created",
  resources: ["a", "b"],
  detail: { bucket: { name: "images" }, object: { key: "images/p/x.gbs", size: 7 } },
};

test.each([
  [{ source: ["aws.s3"] }, true],
  [{ source: ["aws.ec2", "aws.s3"] }, true],
  [{ source: ["aws.ec2"] }, false],
  [{ resources: ["b"] }, true],
  [{ detail: { object: { size: [7] } } }, true],
  [{ detail: { object: { size: ["7"] } } }, false],
  [{ detail: { object: { key: [{ prefix: "images/" }] } } }, true],
  [{ detail: { object: { key: [{ prefix: "verified/" }] } } }, false],
  [{ detail: { object: { key: [{ suffix: ".gbs" }] } } }, true],
  [{ detail: { object: { key: [{ suffix: ".json" }, { prefix: "images/" }] } } }, true],
  [{ detail: { object: { key: [{ "anything-but": { suffix: ".manifest.json" } }] } } }, true],
  [{ detail: { object: { key: [{ "anything-but": { prefix: "images/" } }] } } }, false],
  [{ detail: { bucket: { name: [{ "anything-but": ["images", "other"] }] } } }, false],
  [{ detail: { bucket: { name: [{ "anything-but": "other" }] } } }, true],
  [{ detail: { missing: [{ "anything-but": "other" }] } }, false],
  [{ detail: { missing: [{ exists: false }] } }, true],
  [{ detail: { bucket: { name: [{ exists: true }] } } }, true],
  [{ source: ["aws.s3"], detail: { bucket: { name: ["other"] } } }, false],
  [{ source: { deeper: ["x"] } }, false],
])("%j matches: %s", (pattern, expected) => {
  expect(compilePattern(pattern)(event)).toBe(expected);
});

test.each([
  [{ a: [{ wildcard: "*" }] }, "wildcard"],
  [{ a: [{ prefix: "a", suffix: "b" }] }, "one operator"],
  [{ a: [{ prefix: 1 }] }, "prefix takes a string"],
  [{ a: [{ suffix: 1 }] }, "suffix takes a string"],
  [{ a: [{}] }, "undefined"],
  [{ a: "x" }, "an event pattern is an object"],
])("%j is refused when it is compiled", (pattern, message) => {
  expect(() => compilePattern(pattern)).toThrow(message);
});
