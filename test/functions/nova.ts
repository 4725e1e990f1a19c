import type { OpenStack, OpenStackCall, OpenStackReply } from "#openstack/cloud";

/** A Nova that answers with these statuses, the last one again and again, and keeps the calls. */
export function novaOf(...statuses: readonly number[]): {
  readonly openstack: OpenStack;
  readonly calls: OpenStackCall[];
} {
  const calls: OpenStackCall[] = [];
  const send = async (call: OpenStackCall): Promise<OpenStackReply> => {
    const status = statuses[Math.min(calls.length, statuses.length - 1)] ?? 500;
    calls.push(call);
    return { status, headers: new Headers(), text: "{}" };
  };
  return { calls, openstack: cloudOf(send) };
}

/** A cloud whose services all answer by `send`. */
export function cloudOf(send: OpenStack["send"]): OpenStack {
  return {
    send,
    open: async () => await Promise.reject(new Error("nothing is downloaded here")),
    endpoint: async (service) => `http://${service}`,
  };
}
