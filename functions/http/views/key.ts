import type { SigningKey } from "#domain/image";
import type { KeyView } from "#protocol/http/keys";
import { present, timeOf } from "../views.ts";

/** A signing key; its public half is all there is. */
export function keyView({ revokedAt, createdAt, ...key }: SigningKey): KeyView {
  return present({
    ...key,
    revokedAt: revokedAt === undefined ? undefined : timeOf(revokedAt),
    createdAt: timeOf(createdAt),
  }) as KeyView;
}
