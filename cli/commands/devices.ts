import type { DeviceView } from "#protocol/http/deployables";
import { objectCommand } from "../acting.ts";
import type { Command } from "../command.ts";
import { listCommand } from "../listing.ts";
import { cardCommands } from "./cards.ts";
import { hostId } from "./host-id.ts";

/** Commands of cards. */
export const deviceCommands: readonly Command[] = [
  listCommand({
    words: ["devices", "list"],
    summary: "List cards",
    operation: "listDevices",
    calls: ["listHosts"],
    flags: [{ name: "host", kind: "text", value: "HOST", help: "Only of this host (id or name)" }],
    async query(input, context) {
      const host = input.text("host");
      return host === undefined ? {} : { host: await hostId(context, host) };
    },
    columns: [
      { title: "ID", of: (row: DeviceView) => row.id },
      { title: "HOST", of: (row) => row.hostName, flex: true },
      { title: "ADDRESS", of: (row) => row.address },
      { title: "VENDOR", of: (row) => row.vendor, extra: true },
      { title: "PRODUCT", of: (row) => row.product, flex: true },
      { title: "LAYOUT", of: (row) => row.layout, extra: true },
      { title: "PRESENT", of: (row) => row.present },
    ],
    id: (row) => row.id,
  }),
  objectCommand({
    words: ["devices", "show"],
    summary: "Show one card",
    operation: "getDevice",
    param: "device",
    argument: { name: "DEVICE", help: "Device id" },
    id: (view) => view.id,
  }),
  ...cardCommands,
];
