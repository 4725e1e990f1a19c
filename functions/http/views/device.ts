import type { Device } from "#domain/host";
import type { DeviceView } from "#protocol/http/deployables";
import { present, timeOf } from "../views.ts";

/** A card. */
export function deviceView({
  deployables,
  updatedAt,
  createdAt: _createdAt,
  ...facts
}: Device): DeviceView {
  const view = { ...facts, deployables: [...deployables], updatedAt: timeOf(updatedAt) };
  return present(view) as DeviceView;
}
