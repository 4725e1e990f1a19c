import manifest from "../package.json" with { type: "json" };

/** Version of the package this command line belongs to. */
export const version: string = manifest.version;
