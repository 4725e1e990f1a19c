import { isKernelError, kernelError, type SysfsPort } from "../../../agent/host/sysfs-port.ts";

/** A file or link that a driver adds to sysfs; `hidden` takes one away. */
export type Extra =
  | {
      readonly read?: () => string;
      readonly write?: (value: string) => void | Promise<void>;
      readonly link?: string;
    }
  | "hidden";

/** Extras by absolute path, as they are at this moment. */
export type Extras = Readonly<Record<string, Extra>>;

/** A kernel whose tree has more in it, asked anew at every look. */
export function overlaid(base: SysfsPort, extras: () => Promise<Extras>): SysfsPort {
  const at = async (path: string) => (await extras())[path];
  const below = async (path: string) =>
    Object.entries(await extras()).filter(([one]) => one.startsWith(`${path}/`));
  return {
    ...base,
    async read(path) {
      const extra = await at(path);
      if (extra === undefined) return base.read(path);
      if (extra === "hidden") throw kernelError("ENOENT", path);
      if (!extra.read) throw kernelError("EACCES", path);
      return extra.read();
    },
    async list(path) {
      const names = new Set(await base.list(path).catch(noSuch));
      const added = await below(path);
      for (const [one, extra] of added) {
        const name = one.slice(path.length + 1).split("/")[0] ?? "";
        if (extra !== "hidden") names.add(name);
        else if (`${path}/${name}` === one) names.delete(name);
      }
      if (names.size === 0 && added.length === 0) return base.list(path);
      return [...names].sort();
    },
    async readlink(path) {
      const extra = await at(path);
      if (extra === undefined) return base.readlink(path);
      if (extra === "hidden" || extra.link === undefined) throw kernelError("EINVAL", path);
      return extra.link;
    },
    async exists(path) {
      const extra = await at(path);
      if (extra !== undefined) return extra !== "hidden";
      const inside = (await below(path)).some(([, one]) => one !== "hidden");
      return inside || base.exists(path);
    },
    async write(path, value, deadlineMs) {
      const extra = await at(path);
      if (extra === undefined) return base.write(path, value, deadlineMs);
      if (extra === "hidden") throw kernelError("ENOENT", path);
      if (!extra.write) throw kernelError("EACCES", path);
      await extra.write(value);
    },
  };
}

function noSuch(error: unknown): readonly string[] {
  if (isKernelError(error, "ENOENT", "ENOTDIR")) return [];
  throw error;
}

/** An attribute that is read only. */
export const shows = (read: () => string): Extra => ({ read });

/**
 * What a driver adds to a function while it has it: nothing when the function is gone or on another
 * driver, and EIO from everything when the card does not answer.
 */
export async function whileDriven(
  base: SysfsPort,
  function_: string,
  entries: () => Readonly<Record<string, Extra>>,
): Promise<Extras> {
  const target = await base.readlink(`${function_}/driver`).catch(() => "");
  if (target === "" || target.endsWith("/vfio-pci")) return {};
  const answers = await base.read(`${function_}/vendor`).then(
    () => true,
    () => false,
  );
  const eio = shows(() => {
    throw kernelError("EIO", function_);
  });
  return Object.fromEntries(
    Object.entries(entries()).map(([path, extra]) => [path, answers ? extra : eio]),
  );
}
