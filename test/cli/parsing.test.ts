import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { nearest } from "../../cli/suggest.ts";
import manifest from "../../package.json" with { type: "json" };
import { createShell } from "./shell.ts";

const unsent = () => Promise.reject(new Error("nothing may be sent"));
const run = (...argv: string[]) => createShell({ fetch: unsent }).run(...argv);

describe("what is typed wrongly", () => {
  test.each([
    ["clams list", "unknown command clams; did you mean claims?"],
    ["claims lst", "unknown command claims lst; did you mean claims list?"],
    ["claims", "claims: a verb is missing"],
    ["xylophone", "unknown command xylophone\n"],
    ["claims list --instanse i", "unknown flag --instanse; did you mean --instance?"],
    ["claims list --hypervisor cdi", "unknown flag --hypervisor for claims list"],
    ["claims show", "claims show: CLAIM is missing"],
    ["claims show a b", "claims show: b is one argument too many"],
    ["program c", "program: --image is missing"],
    ["program c --image --wait", "--image: a value is missing"],
    ["program c --image", "--image: a value is missing"],
    ["program c --image x --wait=no", "--wait: takes no value"],
    [
      "attach c --hypervisor libvrt",
      "libvrt is not one of libvirt | qemu | cdi | openstack; did you mean libvirt?",
    ],
    ["claims list --limit many", "--limit: many is not a whole number"],
    ["claims renew c --lease soon", "--lease: soon is not a time span"],
    ["claims renew c --lease 5w", "--lease: 5w is not a time span"],
    ["completion tcsh", "SHELL: tcsh is not one of bash | zsh | fish"],
    ["quotas set p FPGA many", "quotas set: many is not a limit"],
    ["claims list --json --quiet", "--json and --quiet: expected one of them"],
    ["profiles create p", "profiles create: expected --group or --file"],
    ["profiles create p --group resources", "--group: resources is not KEY=VALUE"],
    ["claims show ..", "claim: expected an id or a name"],
    ["status --idempotency-key a\nb", "--idempotency-key is wrong"],
  ])("`%s` is refused with exit 2 before anything is sent", async (line, said) => {
    const { code, out, err } = await run(...line.split(" "));
    expect(err).toContain(`error INVALID_REQUEST: `);
    expect(err).toContain(said);
    expect(code).toBe(2);
    expect(out).toBe("");
  });

  test("a request that breaks its schema is refused by the member's name, unsent", async () => {
    const { code, err } = await run("claims", "create", "--count", "33");
    expect(code).toBe(2);
    expect(err).toContain("error INVALID_REQUEST: The request is not valid (count: expected");
  });

  test("a file that is not there is named", async () => {
    const { code, err } = await run("keys", "add", "lost.pub", "--name", "ci");
    expect(code).toBe(2);
    expect(err).toBe("error INVALID_REQUEST: lost.pub: no such file\n");
  });
});

test("--version prints the package's version", async () => {
  const { code, out } = await run("--version");
  expect(code).toBe(0);
  expect(out).toBe(`${manifest.version}\n`);
});

describe("the nearest word", () => {
  test("is found across one slip of any kind", () => {
    const words = ["claims", "hosts", "images", "deployables"];
    const slip = fc.constantFrom("drop", "double", "swap", "change");
    fc.assert(
      fc.property(fc.constantFrom(...words), fc.nat(20), slip, (word, place, kind) => {
        const at = place % (word.length - 1);
        const [a = "", b = ""] = [word[at], word[at + 1]];
        const made = { drop: b, double: a + a + b, swap: b + a, change: `~${b}` }[kind];
        expect(nearest(word.slice(0, at) + made + word.slice(at + 2), words)).toBe(word);
      }),
    );
  });

  test("is nothing when no word is near", () => {
    expect(nearest("xyz", ["claims", "hosts"])).toBeUndefined();
    expect(nearest("claims", [])).toBeUndefined();
  });
});
