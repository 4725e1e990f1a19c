import type * as z from "zod/mini";
import { Fault, type FaultCode, isFault } from "#domain/faults";
import { type AgentMessage, agentMessage, type CloudMessage, cloudMessage } from "./messages.ts";
import { maxFrameBytes, type WireError } from "./shapes.ts";

const agentTypes = new Set<string>([
  "hello",
  "inventory",
  "report",
  "card-report",
  "ping",
  "error",
]);
const cloudTypes = new Set<string>(["welcome", "desired", "card", "ack", "pong", "drain", "error"]);

/** Text of one message. Throws MESSAGE_TOO_LARGE past the frame limit: split it, do not send it. */
export function encodeMessage(message: AgentMessage | CloudMessage): string {
  const text = JSON.stringify(message);
  if (Buffer.byteLength(text) > maxFrameBytes) {
    throw new Fault("MESSAGE_TOO_LARGE", `a ${message.type} message is larger than 32 KB`);
  }
  return text;
}

/**
 * Reads a frame from an agent. Throws MESSAGE_TOO_LARGE, INVALID_MESSAGE (with `field`) or
 * UNKNOWN_MESSAGE; `detail.about` names the type when it could be read.
 */
export function decodeAgentMessage(text: string): AgentMessage {
  return decode(text, agentTypes, agentMessage);
}

/** Reads a frame from the cloud; faults as in {@link decodeAgentMessage}. */
export function decodeCloudMessage(text: string): CloudMessage {
  return decode(text, cloudTypes, cloudMessage);
}

function decode<Message>(
  text: string,
  types: ReadonlySet<string>,
  schema: z.ZodMiniType<Message>,
): Message {
  if (Buffer.byteLength(text) > maxFrameBytes) throw new Fault("MESSAGE_TOO_LARGE");
  const about = typeOf(text);
  if (!types.has(about)) {
    throw new Fault("UNKNOWN_MESSAGE", `unknown message type "${about}"`, { about });
  }
  const value: unknown = JSON.parse(text);
  if (!isStorable(value, mostLevels)) {
    throw new Fault("INVALID_MESSAGE", `${about}: too many levels, or a number without bounds`, {
      about,
    });
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const field = issue?.path.join(".") ?? "";
  throw new Fault("INVALID_MESSAGE", `${about}: ${field} ${issue?.message ?? "is not valid"}`, {
    about,
    field,
  });
}

/** Known messages have 8 levels; a row of the table, in which parts of one end up, may have 32. */
const mostLevels = 24;

/**
 * Members that nobody knows yet are kept and stored unseen: what the table cannot hold would fail
 * there, as a defect, again and again.
 */
function isStorable(value: unknown, levels: number): boolean {
  if (typeof value === "number") return isBounded(value);
  if (typeof value !== "object" || value === null) return true;
  return levels > 0 && Object.values(value).every((member) => isStorable(member, levels - 1));
}

/** Safe integers, and fractions that DynamoDB can hold. */
function isBounded(value: number): boolean {
  if (Number.isInteger(value)) return Number.isSafeInteger(value);
  return Number.isFinite(value) && Math.abs(value) > 1e-100;
}

function typeOf(text: string): string {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new Fault("INVALID_MESSAGE", "the frame is not JSON", {}, { cause });
  }
  const type =
    typeof value === "object" && value !== null && "type" in value ? value.type : undefined;
  if (typeof type !== "string") {
    throw new Fault("INVALID_MESSAGE", "a message needs a type", {
      field: "type",
      expected: "string",
    });
  }
  return type.slice(0, 64);
}

/** A fault as it travels; a defect, whatever was thrown, travels as INTERNAL without its text. */
export function wireErrorOf(error: unknown): WireError {
  if (!isFault(error) || error.code === "INTERNAL") {
    return { code: "INTERNAL" satisfies FaultCode, message: "unexpected error" };
  }
  const { field } = error.detail;
  return {
    code: error.code,
    message: error.message.slice(0, 1024),
    ...(field === undefined ? {} : { field: field.slice(0, 256) }),
  };
}
