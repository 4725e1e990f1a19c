import type { FaultCode } from "#domain/faults";

/** The next step for the faults where there is a useful one. */
export const hints: { readonly [Code in FaultCode]?: string } = {
  UNKNOWN_ROUTE: "is --url the address of a Gatehouse service, of this version?",
  IDEMPOTENCY_MISMATCH: "leave out --idempotency-key, or repeat exactly the first command",
  UNAUTHENTICATED: "give a token with --token, or one of Keystone with --os-token",
  FORBIDDEN: "ask an admin, or check --token, --project and --roles",
  UNKNOWN_HOST: "see gatehouse hosts list",
  UNKNOWN_DEVICE: "see gatehouse devices list",
  UNKNOWN_DEPLOYABLE: "see gatehouse deployables list",
  UNKNOWN_CLAIM: "see gatehouse claims list",
  UNKNOWN_IMAGE: "see gatehouse images list",
  UNKNOWN_TYPE: "see gatehouse images list --state active",
  UNKNOWN_TRAIT: "see gatehouse traits list",
  UNKNOWN_RESOURCE_CLASS: "see gatehouse classes list",
  UNKNOWN_PROFILE: "see gatehouse profiles list",
  UNKNOWN_KEY: "see gatehouse keys list",
  IN_USE: "detach or release what holds it; a running guest's card is programmed with --replug",
  CONFLICT: "look again, then repeat the command",
  NO_CAPACITY: "gatehouse explain with the same flags tells what to change",
  OVER_QUOTA: "see gatehouse quotas list; release a claim or ask an admin for more",
  IMAGE_NOT_ACTIVE: "see gatehouse images show IMAGE",
  IMAGE_INCOMPATIBLE: "compare its interfaceId with that of gatehouse deployables show",
  SIGNATURE_REQUIRED: "sign it: gatehouse images sign IMAGE --key FILE --file FILE",
  KEY_REVOKED: "sign it again with another key: gatehouse images sign",
  HOST_OFFLINE: "see gatehouse hosts list and gatehouse-agent status on the host",
  CARD_DEGRADED: "see gatehouse deployables show; enable it again once the card is well",
  SCRUB_FAILED: "gatehouse deployables enable tries again",
  TRY_AGAIN: "repeat the command",
};

/** For a service that did not answer at all. */
export const unreachableHint =
  "is the service running there? --url or GATEHOUSE_URL says where it is";
