/** Why virsh could not do something. */
export type VirshTrouble =
  /** libvirt knows no such domain. */
  | "unknown-domain"
  /** Nobody answers at the connection URI. */
  | "unreachable"
  /** libvirt or the hypervisor said no. */
  | "refused"
  /** The call took longer than its bound and was ended. */
  | "late";

/** A call of virsh that failed; the message has its own words in one line. */
export class VirshError extends Error {
  readonly trouble: VirshTrouble;

  constructor(trouble: VirshTrouble, message: string) {
    super(message);
    this.name = "VirshError";
    this.trouble = trouble;
  }
}

/** What a running domain says of a device that was asked to leave (host.md §4.2). */
export interface DeviceEvent {
  readonly event: "device-removed" | "device-removal-failed";
  /** `ua-…`: the alias the device was attached with. */
  readonly alias: string;
}

/**
 * What libvirt does for us: a closed list, no command lines. A domain is a name or a uuid, never a
 * number, which is libvirt's id of one run. Each rejects with {@link VirshError}, and with Fault
 * INVALID_REQUEST for an argument that is none.
 */
export interface Virsh {
  /** The domain's XML as it runs, or as it is defined when it does not run. */
  dumpxml(domain: string): Promise<string>;
  /** Adds a device to the running domain. `alias` names the file that virsh reads. */
  attach(domain: string, alias: string, xml: string): Promise<void>;
  /** Asks the running domain to let a device go; that it did is told by {@link watch} (host.md §4.2). */
  detachAlias(domain: string, alias: string): Promise<void>;
  /** Listens until it is stopped. Events before libvirt has taken the subscription are lost. */
  watch(domain: string, listener: (event: DeviceEvent) => void): { readonly stop: () => void };
}
