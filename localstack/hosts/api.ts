/** A small caller of the native API for the offline cloud's own use (hosts and tour). */
export interface Api {
  <Answer>(method: string, path: string, body?: unknown): Promise<Answer>;
}

/** An API call failed; `status` and `code` are those of the problem document. */
export class ApiError extends Error {
  readonly status: number;
  readonly code: string;
  readonly problem: Readonly<Record<string, unknown>>;

  constructor(status: number, problem: Readonly<Record<string, unknown>>) {
    super(`${String(problem["code"])}: ${String(problem["detail"])}`);
    this.name = "ApiError";
    this.status = status;
    this.code = String(problem["code"]);
    this.problem = problem;
  }
}

/** Calls `url` with the given identity headers; rejects with ApiError. */
export function apiOf(url: string, headers: Readonly<Record<string, string>>): Api {
  return async <Answer>(method: string, path: string, body?: unknown): Promise<Answer> => {
    const response = await fetch(`${url}${path}`, {
      method,
      headers: {
        ...headers,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    const answer: unknown = text === "" ? undefined : JSON.parse(text);
    if (!response.ok) throw new ApiError(response.status, answer as Record<string, unknown>);
    return answer as Answer;
  };
}
