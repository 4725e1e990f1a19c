/** A JSON answer of an OpenStack service. */
export interface Answer<Body = unknown> {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Body;
}

/** One JSON request. */
export interface RestCall {
  readonly method: string;
  readonly url: string;
  readonly token?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly json?: unknown;
}

/** Sends a request and reads the answer, whatever its status; a body that is not JSON stays text. */
export async function rest<Body = unknown>(call: RestCall): Promise<Answer<Body>> {
  const { method, url, token, headers, json } = call;
  const response = await fetch(url, {
    method,
    headers: {
      accept: "application/json",
      ...(token === undefined ? {} : { "x-auth-token": token }),
      ...(json === undefined ? {} : { "content-type": "application/json" }),
      ...headers,
    },
    ...(json === undefined ? {} : { body: JSON.stringify(json) }),
    signal: AbortSignal.timeout(60_000),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, body: parsed(text) as Body };
}

function parsed(text: string): unknown {
  if (text === "") return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

/** As {@link rest}; rejects with request and answer unless the status is below 400. */
export async function restOk<Body = unknown>(call: RestCall): Promise<Body> {
  const answer = await rest<Body>(call);
  if (answer.status >= 400) {
    const said = JSON.stringify(answer.body)?.slice(0, 2000);
    throw new Error(`${call.method} ${call.url} answered ${answer.status}: ${said}`);
  }
  return answer.body;
}
