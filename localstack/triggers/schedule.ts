import { randomUUID } from "node:crypto";
import type { Place } from "../gateway/invoke.ts";

const units = { minute: 60_000, hour: 3_600_000, day: 86_400_000 } as const;

/** Milliseconds of a `rate(n minutes|hours|days)` expression. Throws on anything else. */
export function rateOf(expression: string): number {
  const [, count, unit, plural] = /^rate\((\d+) (minute|hour|day)(s?)\)$/.exec(expression) ?? [];
  const number = Number(count);
  // AWS refuses "1 minutes" and "2 minute".
  if (unit === undefined || number < 1 || (number === 1) === (plural === "s"))
    throw new Error(`schedule ${expression} is not served here`);
  return number * units[unit as keyof typeof units];
}

/** The event a rule with a schedule sends. */
export function scheduledEvent(place: Place, now: number, ruleName: string): unknown {
  return {
    version: "0",
    id: randomUUID(),
    "detail-type": "Scheduled Event",
    source: "aws.events",
    account: place.account,
    time: new Date(now).toISOString().replace(/\.\d+Z$/, "Z"),
    region: place.region,
    resources: [`arn:aws:events:${place.region}:${place.account}:rule/${ruleName}`],
    detail: {},
  };
}
