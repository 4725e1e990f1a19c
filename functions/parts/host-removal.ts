import type { Deployable } from "#domain/deployable";
import { Fault } from "#domain/faults";
import type { Host } from "#domain/host";
import { hostLifecycle, next } from "#domain/lifecycle";
import { mark } from "#domain/transitions";
import { changeDeployable, deployablesOf } from "#store/deployables";
import { freeHostName, replaceHost } from "#store/hosts";
import type { Store } from "#store/store";
import { endSession, type Sessions } from "./host-session.ts";

/**
 * Removes a host that nobody uses: first everything is taken off offer, row by row, so that no claim
 * can slip in, then host and name go in one transaction; its deployables stay as tombstones, because
 * their counters never fall (I2). Can be repeated after a failure. IN_USE; TRY_AGAIN.
 */
export async function removeHost(sessions: Sessions, host: Host): Promise<Host> {
  const { store } = sessions;
  const removed = host.state === "removed" ? host : await takeAway(store, host);
  await endSession(sessions, host.id);
  const deployables = await deployablesOf(store, host.id);
  await Promise.all(
    deployables.map(
      async (known) =>
        await changeDeployable(store, known, (one) =>
          mark(one, { present: false, hostOnline: false }, store.now()),
        ),
    ),
  );
  return removed;
}

async function takeAway(store: Store, host: Host): Promise<Host> {
  const deployables = await deployablesOf(store, host.id);
  deployables.forEach(checkUnused);
  await withdrawUnused(store, deployables);
  const state = next(hostLifecycle, host.state, "remove") ?? "removed";
  const revision = host.revision + 1;
  const after: Host = { ...host, state, revision, updatedAt: store.now() };
  const result = await store.table.write([replaceHost(host, after), freeHostName(host.name)]);
  if (result.ok) return after;
  await offerAgain(store, deployables);
  throw new Fault("TRY_AGAIN", undefined, { retryAfterSeconds: 1 });
}

/** A card that no tenant ever had may be dirty for ever, but nothing can be lost with it. */
function checkUnused(deployable: Deployable): void {
  if (!deployable.present) return;
  const used = Object.entries(deployable.handles).find(
    ([, handle]) =>
      handle.holder !== undefined ||
      (handle.state === "releasing" && deployable.lastProject !== undefined),
  );
  if (used === undefined) return;
  const [name, handle] = used;
  const how = handle.holder === undefined ? "is being cleaned" : "is held by a claim";
  throw new Fault("IN_USE", `handle ${name} of deployable ${deployable.id} ${how}`, {
    deployable: deployable.id,
    handle: name,
  });
}

async function withdrawUnused(store: Store, deployables: readonly Deployable[]): Promise<void> {
  const results = await Promise.allSettled(
    deployables.map(
      async (known) =>
        await changeDeployable(store, known, (one) => {
          checkUnused(one);
          return mark(one, { hostOnline: false }, store.now());
        }),
    ),
  );
  const failed = results.find((result) => result.status === "rejected");
  if (failed === undefined) return;
  await offerAgain(store, deployables);
  throw failed.reason;
}

/** What was taken off offer in vain comes back as it was. */
async function offerAgain(store: Store, deployables: readonly Deployable[]): Promise<void> {
  await Promise.all(
    deployables.map(
      async ({ host, id, hostOnline }) =>
        await changeDeployable(store, { host, id }, (one) =>
          mark(one, { hostOnline }, store.now()),
        ),
    ),
  );
}
