/** Newest minor version of API 2 that is served (cyborg.md §1.1). */
export const newestMinor = 3;

/** The minor version a request asked for, or why it cannot be had: then the answer is 406. */
export type Asked = { readonly minor: number } | { readonly refused: string };

const range = `The supported version range is: [2.0, 2.${newestMinor}].`;
const unreadable: Asked = { refused: "Invalid value for OpenStack-API-Version header" };

/**
 * Reads `OpenStack-API-Version`: `accelerator X.Y`, `accelerator latest`, the same within a list for
 * several services, or bare `X.Y`. Absent = 2.0.
 */
export function askedVersion(header: string | undefined): Asked {
  if (header === undefined) return { minor: 0 };
  const parts = header.split(",").map((part) => part.trim());
  const own = parts.map(ownPart).find((part) => part !== undefined);
  if (own === undefined) return unreadable;
  if (own.toLowerCase() === "latest") return { minor: newestMinor };
  const [, major, minor] = /^(\d{1,9})\.(\d{1,9})$/.exec(own) ?? [];
  if (major === undefined || minor === undefined) return unreadable;
  if (Number(major) !== 2) {
    return {
      refused: `Mutually exclusive versions requested. Version ${own} requested but not supported by this service. ${range}`,
    };
  }
  return Number(minor) <= newestMinor
    ? { minor: Number(minor) }
    : {
        refused: `Version ${own} was requested but the minor version is not supported by this service. ${range}`,
      };
}

/** What the part says of this service; a part of one word is meant for it. */
function ownPart(part: string): string | undefined {
  const [service = "", version, ...rest] = part.split(/\s+/);
  if (version === undefined) return service === "" ? undefined : service;
  return service.toLowerCase() === "accelerator" && rest.length === 0 ? version : undefined;
}

/** Headers that name the versions; `used` is absent where the request asked for one that is not there. */
export function versionHeaders(used: number | undefined): Readonly<Record<string, string>> {
  return {
    vary: "OpenStack-API-Version",
    "openstack-api-minimum-version": "2.0",
    "openstack-api-maximum-version": `2.${newestMinor}`,
    ...(used === undefined ? {} : { "openstack-api-version": `accelerator 2.${used}` }),
  };
}
