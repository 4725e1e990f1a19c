import type { Ours, ProviderDetails, RememberedTree } from "#domain/placement";

/** Our providers as a row keeps them: traits by their place in one list of names. */
export interface PackedTree {
  readonly names: readonly string[];
  readonly providers: {
    readonly [uuid: string]: {
      readonly name: string;
      readonly seen?: Packed<ProviderDetails> | undefined;
      readonly ours: Packed<Ours>;
    };
  };
}

type Packed<Of extends { readonly traits: readonly string[] }> = Omit<Of, "traits"> & {
  readonly traits: readonly number[];
};

/**
 * Providers of one host show mostly the same traits, and a row has to stay under 400 KB, whatever
 * the number of cards and of images that fit them.
 */
export function packTree(tree: RememberedTree): PackedTree {
  const places = new Map<string, number>();
  const pack = <Of extends { readonly traits: readonly string[] }>(one: Of): Packed<Of> => {
    const traits = one.traits.map((name) => {
      const place = places.get(name) ?? places.size;
      places.set(name, place);
      return place;
    });
    return { ...one, traits };
  };
  const packed = Object.entries(tree).map(([uuid, { name, seen, ours }]) => [
    uuid,
    { name, seen: seen === undefined ? undefined : pack(seen), ours: pack(ours) },
  ]);
  return {
    providers: Object.fromEntries(packed) as PackedTree["providers"],
    names: [...places.keys()],
  };
}

/** The providers that {@link packTree} was given. */
export function unpackTree({ names, providers }: PackedTree): RememberedTree {
  const named = (places: readonly number[]) => places.map((place) => names[place] ?? "");
  const tree = Object.entries(providers).map(([uuid, { name, seen, ours }]) => [
    uuid,
    {
      name,
      ...(seen === undefined ? {} : { seen: { ...seen, traits: named(seen.traits) } }),
      ours: { ...ours, traits: named(ours.traits) },
    },
  ]);
  return Object.fromEntries(tree) as RememberedTree;
}
