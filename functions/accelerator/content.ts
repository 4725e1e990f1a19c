import { refusal } from "./errors.ts";

/** True when the caller takes JSON. */
export function takesJson(accept: string | undefined): boolean {
  if (accept === undefined || accept.trim() === "") return true;
  return accept.split(",").some((range) => {
    const [type = "", ...parameters] = range.split(";").map((part) => part.trim().toLowerCase());
    const isRefused = parameters.some((one) => /^q=0(?:\.0*)?$/.test(one));
    return !isRefused && ["application/json", "application/*", "*/*", ""].includes(type);
  });
}

/** A request's body as it came. */
export interface RawBody {
  readonly text: string;
  readonly type: string | undefined;
}

/** The JSON of a body. 400 for what is no JSON or not called so, 415 for XML. */
export function jsonOf({ text, type = "" }: RawBody): unknown {
  const [name = ""] = type.toLowerCase().split(";");
  if (/\bxml\b/.test(name)) throw refusal(415, `Unsupported content type ${name.trim()}`);
  if (text === "") throw refusal(400, "Request is not in valid JSON format");
  if (!/^application\/(?:[\w.-]+\+)?json$/.test(name.trim())) {
    throw refusal(400, 'Unknown argument: "body", expected content-type application/json');
  }
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw refusal(400, "Request is not in valid JSON format");
  }
}
