import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { vi } from "vitest";

/** How libvirt and its guests behave; host.md §4.2. */
export type Manner =
  | "hang-dumpxml"
  | "hang-attach-device"
  | "hang-detach-device-alias"
  /** Says yes and adds nothing. */
  | "attaches-nothing"
  | "refuses-attach"
  | "refuses-detach"
  /** The guest never lets go, and nobody says so. */
  | "keeps"
  /** The guest refuses, and libvirt says so. */
  | "removal-fails"
  /** The guest lets go without an event. */
  | "silent"
  /** The guest lets go when the test says so. */
  | "late"
  | "unreachable";

/** Keeps a domain's running devices as files named by their aliases. */
const script = (home: string) => `#!/bin/sh
home='${home}'
is() { [ -e "$home/manners/$1" ]; }
say() { echo "error: $1" >&2; exit 1; }
[ "$1 $2 $3" = "--quiet --connect qemu:///system" ] || say "connected elsewhere: $*"
shift 3
echo "$*" >> "$home/calls"
env | cut -d= -f1 | grep -v '^_$' | sort | tr '\\n' ' ' > "$home/environment"
verb=$1; domain=$3; object=$5
is unreachable && say "failed to connect to the hypervisor"
[ -d "$home/domains/$domain" ] || say "failed to get domain '$domain'"
if is "hang-$verb"; then echo $$ >> "$home/pids"; exec sleep 600; fi
event() { echo "event '$1' for domain '$domain': $object" >> "$home/events"; }
case $verb in
dumpxml)
  id=" id='1'"; [ -e "$home/off" ] && id=""
  echo "<domain type='kvm'$id><devices>"
  cat "$home/domains/$domain/"* 2>/dev/null
  echo "</devices></domain>";;
attach-device)
  [ "$6" = --live ] || say "not live"
  stat -c '%a %F' "$object" > "$home/mode"
  is refuses-attach && say "internal error: unable to execute QEMU command 'device_add': no slot"
  is attaches-nothing && exit 0
  cp "$object" "$home/domains/$domain/$(sed "s/.*alias name='\\([^']*\\)'.*/\\1/" "$object")";;
detach-device-alias)
  [ "$6" = --live ] || say "not live"
  is refuses-detach && say "device is in use"
  is keeps && exit 0
  is late && exit 0
  if is removal-fails; then event device-removal-failed; exit 0; fi
  [ -e "$home/domains/$domain/$object" ] || say "device not found: no device with alias '$object'"
  rm "$home/domains/$domain/$object"
  is silent || event device-removed;;
event)
  echo $$ >> "$home/pids"
  exec tail -n +1 -f "$home/events";;
*) say "unknown command: '$verb'";;
esac
`;

/** An executable that stands for virsh, with one running domain, `guest`. */
export class FakeVirsh {
  readonly home: string;
  readonly path: string;

  private constructor(home: string) {
    this.home = home;
    this.path = join(home, "virsh");
  }

  static async make(): Promise<FakeVirsh> {
    const fake = new FakeVirsh(await mkdtemp(join(tmpdir(), "gatehouse-virsh-")));
    await mkdir(join(fake.home, "manners"));
    await mkdir(join(fake.home, "domains", "guest"), { recursive: true });
    await Promise.all(["events", "calls", "pids"].map((name) => fake.#write(name, "")));
    await fake.#write("virsh", script(fake.home));
    await chmod(fake.path, 0o755);
    return fake;
  }

  async behave(...manners: readonly Manner[]): Promise<void> {
    await rm(join(this.home, "manners"), { recursive: true });
    await mkdir(join(this.home, "manners"));
    for (const manner of manners) await this.#write(join("manners", manner), "");
  }

  /** Shuts the guest down; its definition stays. */
  async stopGuest(): Promise<void> {
    await this.#write("off", "");
  }

  /** Forgets the guest altogether. */
  async undefine(): Promise<void> {
    await rm(join(this.home, "domains", "guest"), { recursive: true });
  }

  /** What was said is said no more to those who listen from now on. */
  async forgetEvents(): Promise<void> {
    await this.#write("events", "");
  }

  /** The guest lets everything go, with no word. */
  async letGo(): Promise<void> {
    for (const alias of await this.devices()) {
      await rm(join(this.home, "domains", "guest", alias));
    }
  }

  async devices(): Promise<readonly string[]> {
    return await readdir(join(this.home, "domains", "guest"));
  }

  /** A file the fake writes: `calls`, `environment`, `mode`. */
  async told(name: string): Promise<readonly string[]> {
    return (await readFile(join(this.home, name), "utf8")).trim().split("\n");
  }

  /** Children that wait: events and hangs. */
  async living(): Promise<readonly string[]> {
    const pids = (await this.told("pids")).filter((pid) => pid !== "");
    return pids.filter((pid) => {
      try {
        return process.kill(Number(pid), 0);
      } catch {
        return false;
      }
    });
  }

  /** Waits for the children first; a look that is under way may still write into the folder. */
  async close(): Promise<void> {
    await vi.waitUntil(async () => (await this.living()).length === 0, { timeout: 10_000 });
    await rm(this.home, { recursive: true, force: true, maxRetries: 20, retryDelay: 20 });
  }

  async #write(name: string, text: string): Promise<void> {
    await writeFile(join(this.home, name), text);
  }
}
