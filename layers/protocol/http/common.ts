import * as z from "zod/mini";

/** Shapes that several resources share. Requests are strict: an unknown member is an error. */

export const uuid = z
  .string()
  .check(z.regex(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/, "expected a lower-case uuid"));
export const hex = (digits: number) =>
  z.string().check(z.regex(new RegExp(`^[0-9a-f]{${digits}}$`), `expected ${digits} hex digits`));
/** Names people give: letters, digits, `.`, `_`, `-`, up to 128. */
export const name = z
  .string()
  .check(
    z.regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/, "expected a name of letters, digits, . _ -"),
  );
export const traitName = z
  .string()
  .check(z.regex(/^[A-Z][A-Z0-9_]{0,254}$/, "expected a trait or resource class name"));
export const time = z.iso.datetime();

/** `limit` and `after` of every list; `after` is the `next` of the page before. */
export const page = {
  limit: z.optional(z.coerce.number().check(z.int(), z.minimum(1), z.maximum(200))),
  after: z.optional(z.string().check(z.maxLength(2048))),
};

/** A page: `next` is absent on the last one. */
export const listOf = <Entry extends z.ZodMiniType>(entry: Entry) =>
  z.object({ items: z.array(entry), next: z.optional(z.string()) });

/** RFC 9457 problem document; `code` is stable (docs/faults.md). */
export const problem = z.looseObject({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  code: z.string(),
  detail: z.string(),
  instance: z.optional(z.string()),
});
export type Problem = z.infer<typeof problem>;

export const trouble = z.object({ code: z.string(), message: z.string() });
