import { blankFunction } from "./cards.ts";
import type { CardState, FunctionState } from "./state.ts";
import { type Entries, fixed, shown } from "./tree.ts";

/** What XRT's drivers add to their PF's directory (host.md §1.5); nothing without the driver. */
export function alveoEntries(card: CardState, fn: FunctionState): Entries {
  const { description } = card;
  if (description.model !== "alveo" || fn.driver !== fn.native) return {};
  const common: Entries = {
    ready: shown(() => (card.offline ? "0" : "1")),
    dev_offline: shown(() => (card.offline ? "1" : "0")),
    interface_uuids: fixed(description.interfaceId.replaceAll("-", "")),
  };
  if (fn.role === "management") {
    return {
      ...common,
      instance: fixed(String(fn.group)),
      mgmt_pf: fixed(""),
      mfg: fixed("0"),
      recovery: fixed("0"),
      board_name: fixed("u250"),
    };
  }
  return {
    ...common,
    userbar: fixed("2"),
    xclbinuuid: shown(() => {
      const [region] = card.regions;
      const loaded = region?.running ? blankFunction : region?.loaded;
      return loaded === undefined || loaded === blankFunction ? "" : loaded;
    }),
  };
}
