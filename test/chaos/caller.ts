/** What was answered, with status 0 when nothing was; `sent` and `heard` are ms by this process's clock. */
export interface Reply {
  readonly status: number;
  readonly body: unknown;
  readonly sent: number;
  readonly heard: number;
}

/** One request. */
export interface Ask {
  readonly method: string;
  readonly path: string;
  readonly project: string;
  readonly key?: string;
  readonly body?: unknown;
  readonly roles?: string;
}

/** Longest wait for one answer, ms. */
const patienceMs = 8000;

/** Asks the cloud. Without an answer, for whatever reason, nobody knows what was done. */
export class Caller {
  readonly #url: string;

  constructor(url: string) {
    this.#url = url;
  }

  async once(ask: Ask): Promise<Reply> {
    const { method, path, project, key, body, roles = "member" } = ask;
    const sent = performance.now();
    try {
      const response = await fetch(`${this.#url}${path}`, {
        method,
        headers: {
          "x-project-id": project,
          "x-roles": roles,
          "x-user-id": "chaos",
          ...(key === undefined ? {} : { "idempotency-key": key }),
          ...(body === undefined ? {} : { "content-type": "application/json" }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(patienceMs),
      });
      const text = await response.text();
      const answer: unknown = text === "" ? undefined : JSON.parse(text);
      return { status: response.status, body: answer, sent, heard: performance.now() };
    } catch {
      return { status: 0, body: undefined, sent, heard: performance.now() };
    }
  }

  /** Asks as an operator who sees every project. */
  async admin<Answer>(path: string): Promise<Answer> {
    const reply = await this.once({ method: "GET", path, project: "ops", roles: "admin" });
    if (reply.status !== 200) throw new Error(`${path} answered ${reply.status}`);
    return reply.body as Answer;
  }

  /** A whole list, page by page, as an operator. */
  async list<Item>(path: string): Promise<readonly Item[]> {
    const items: Item[] = [];
    let after = "";
    do {
      const sign = path.includes("?") ? "&" : "?";
      const page = await this.admin<{ items: Item[]; next?: string }>(
        `${path}${sign}limit=200${after}`,
      );
      items.push(...page.items);
      after = page.next === undefined ? "" : `&after=${encodeURIComponent(page.next)}`;
    } while (after !== "");
    return items;
  }
}

/** An answer that ends a request: anything else has to be asked again under the same key. */
export function isFinal({ status }: Reply): boolean {
  return status >= 200 && status < 500 && status !== 429;
}

/** True for an answer that says it was done. */
export function isDone({ status }: Reply): boolean {
  return status >= 200 && status < 300;
}
