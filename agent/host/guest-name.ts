/** A guest's name as it may become part of a path or of an argument list (host.md §6.2). */
const guestName = /^[A-Za-z0-9][A-Za-z0-9_.+-]{0,127}$/;

/** True for what may name a guest: a libvirt domain's name or uuid, a QMP socket's name. */
export function isGuestName(text: string | undefined): text is string {
  return text !== undefined && guestName.test(text);
}

/** True for a libvirt domain's name or uuid. A number is the id of one run: another guest's, later. */
export function isDomainName(text: string | undefined): text is string {
  return isGuestName(text) && !/^\d+$/.test(text);
}
