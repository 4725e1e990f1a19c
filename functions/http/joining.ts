import { randomUUID } from "node:crypto";
import { Fault } from "#domain/faults";
import type { Host } from "#domain/host";
import type { CreateHost, JoinTokenView } from "#protocol/http/hosts";
import { createHost, findHost, readBeat } from "#store/hosts";
import type { Store } from "#store/store";
import type { Write } from "#store/table";
import { joinTokens, type KeptToken } from "../parts/join-token.ts";
import { onlyOnce } from "../parts/once.ts";
import type { Answer, Call } from "./call.ts";
import { hostView } from "./views/host.ts";
import { timeOf } from "./views.ts";

/** What a token is made for, and how it is saved: with the host itself or alone. */
interface Target {
  readonly host: string;
  readonly save: (also: readonly Write[]) => Promise<void>;
}

/** Creates a host with its first token. NAME_TAKEN. */
export async function createWithToken(store: Store, call: Call<CreateHost>): Promise<Answer> {
  return await tokenOnce(store, call, async () => {
    const now = store.now();
    const host: Host = {
      id: randomUUID(),
      name: call.body.name,
      state: "joined",
      revoked: false,
      createdAt: now,
      updatedAt: now,
      revision: 0,
    };
    return { host: host.id, save: async (also) => await createHost(store, host, also) };
  });
}

/** Another token for a host, which may have joined before. UNKNOWN_HOST; WRONG_STATE when removed. */
export async function createToken(store: Store, call: Call): Promise<Answer> {
  return await tokenOnce(store, call, async () => {
    const host = await findHost(store, call.path["host"] ?? "");
    if (host.state === "removed") {
      throw new Fault("WRONG_STATE", `host ${host.name} is removed`, { field: "host" });
    }
    return {
      host: host.id,
      save: async (also) => {
        const result = await store.table.write(also);
        if (!result.ok) throw new Fault("TRY_AGAIN", undefined, { retryAfterSeconds: 1 });
      },
    };
  });
}

async function tokenOnce(store: Store, call: Call, target: () => Promise<Target>): Promise<Answer> {
  const tokens = await joinTokens(store, call.headers["idempotency-key"]);
  return await onlyOnce<KeptToken>(store, call.once, {
    make: async (remember) => {
      const { host, save } = await target();
      const { token, kept, row } = tokens.fresh(host, store.now());
      await save([row, remember(kept)]);
      return { body: await tokenView(store, kept, token) };
    },
    replay: async (kept) => ({ body: await tokenView(store, kept, tokens.again(kept)) }),
  });
}

async function tokenView(
  store: Store,
  { host: id, expiresAt }: KeptToken,
  joinToken: string,
): Promise<JoinTokenView> {
  const host = await findHost(store, id);
  const beat = await readBeat(store, host.id);
  return { host: hostView(host, beat), joinToken, expiresAt: timeOf(expiresAt) };
}
