import { Buffer } from "node:buffer";
import { Fault } from "#domain/faults";

/** S3's own limit on a key, in bytes of UTF-8. */
const maxKeyBytes = 1024;

/** `<key of an image>.manifest.json` carries that image's signature (design §8). */
const manifestSuffix = ".manifest.json";

/** An upload's key, taken apart. */
export interface ObjectKey {
  readonly project: string;
  /** What follows the project, folders included. A label to show, never a path to open. */
  readonly name: string;
  /** Set on a signature's key: the key of the image it belongs to. */
  readonly manifestFor?: string;
}

/**
 * Takes apart a decoded upload key `images/<project>/<name>`; `name` may have folders.
 * Names are kept from ever meaning something to a shell, a path, a terminal or a URL decoder: no
 * empty, `.` or `..` segment, no leading dash, no backslash, no `%XX`, no control, invisible or
 * unassigned character, no blank but an inner space. Throws IMAGE_NAME_INVALID with {expected}.
 */
export function checkObjectKey(key: string): ObjectKey {
  if (Buffer.byteLength(key) > maxKeyBytes) throw refused(`at most ${maxKeyBytes} bytes`);
  const [root, project, ...segments] = key.split("/");
  if (root !== "images" || project === undefined || segments.length === 0) {
    throw refused("images/<project>/<name>");
  }
  if (!/^[A-Za-z0-9][\w.-]{0,63}$/.test(project)) throw refused("a project of letters and digits");
  for (const segment of segments) checkSegment(segment);
  const name = segments.join("/");
  return key.endsWith(manifestSuffix)
    ? { project, name, manifestFor: imageKeyOf(key) }
    : { project, name };
}

/** The key under which the signature of the image at `imageKey` is looked for. */
export function manifestKeyOf(imageKey: string): string {
  return imageKey + manifestSuffix;
}

function imageKeyOf(manifestKey: string): string {
  const imageKey = manifestKey.slice(0, -manifestSuffix.length);
  if (imageKey.endsWith(manifestSuffix)) throw refused("a signature of an image");
  checkSegment(imageKey.slice(imageKey.lastIndexOf("/") + 1));
  return imageKey;
}

function checkSegment(segment: string): void {
  if (segment === "") throw refused("free of empty segments");
  if (segment === "." || segment === "..") throw refused('free of "." and ".." segments');
  if (segment.startsWith("-")) throw refused("free of segments that start with a dash");
  if (segment.trim() !== segment) throw refused("free of segments that start or end with a blank");
  // Any blank but the plain space is in \p{Z}; the rest is unseen or could steer a terminal.
  if (/[\p{C}\\]|(?! )\p{Z}/u.test(segment)) throw refused("visible characters, no backslash");
  if (/%[0-9a-f]{2}/i.test(segment)) throw refused("free of percent-encoded characters");
}

function refused(expected: string): Fault {
  return new Fault("IMAGE_NAME_INVALID", `The object's name is not ${expected}`, {
    field: "key",
    expected,
  });
}
