import { Fault } from "#domain/faults";
import type { CreateImage, ImageView } from "#protocol/http/images";
import type { Command, Context, Input } from "../command.ts";
import { readImage } from "../digesting.ts";
import { Failure } from "../failure.ts";
import { objectOutput } from "../output.ts";
import { type Labels, manifestFlags, manifestFor, statementOf } from "../signing.ts";
import { present } from "../text.ts";
import { sendImage } from "../upload.ts";
import { waitFor, waitTimeoutFlag } from "../wait.ts";

/** What no header holds: vendor and type. */
export const labelFlags = [
  {
    name: "vendor",
    kind: "text",
    value: "VENDOR",
    help: "Maker of the cards, such as intel",
    required: true,
  },
  {
    name: "type",
    kind: "text",
    value: "TYPE",
    help: "What it does, such as crypto",
    required: true,
  },
] as const;

/** `images upload`: digest, announce, send, wait for the verdict. */
export const imageUpload: Command = {
  words: ["images", "upload"],
  summary: "Upload a bitstream image and wait for its verification",
  arguments: [{ name: "FILE", help: "A GBS or xclbin file" }],
  flags: [
    ...labelFlags,
    { name: "name", kind: "text", value: "NAME", help: "Name of the image (the file's name)" },
    {
      name: "visibility",
      kind: "text",
      value: "WHO",
      choices: ["private", "shared", "public"],
      help: "Who sees it",
    },
    ...manifestFlags,
    {
      name: "wait",
      kind: "switch",
      help: "Wait until it is active or rejected; so it is without this flag",
    },
    { name: "no-wait", kind: "switch", help: "Return as soon as the bytes are sent" },
    waitTimeoutFlag,
  ],
  calls: ["createImage", "getImage"],
  run: upload,
};

async function upload(context: Context, input: Input) {
  const { api } = context;
  const labels = { vendor: input.text("vendor") ?? "", type: input.text("type") ?? "" };
  const path = input.argument("FILE");
  const local = await readImage(context, path, { vendor: labels.vendor });
  const manifest = await manifestFor(context, input, () => statementOf(local, labels));
  const body = announcement(input, labels, local.digest);
  const created = await api.call("createImage", {
    body: manifest === undefined ? body : { ...body, manifest },
  });
  const again = `gatehouse images show ${created.image.id}`;
  // The same bytes may be here already: an image is named by its digest.
  if (created.image.state !== "active") {
    await sendImage(context, created.upload, local, `the image was not sent; see ${again}`);
  }
  const view = input.on("no-wait")
    ? created.image
    : await waitForVerdict(context, created.image.id, input.number("wait-timeout"));
  return objectOutput(view, view.id);
}

function announcement(
  input: Input,
  labels: Labels,
  digest: { readonly sha256: string; readonly md5: string; readonly size: number },
): CreateImage {
  const { sha256, md5, size } = digest;
  const visibility = input.text("visibility") as CreateImage["visibility"];
  const name = input.text("name") ?? nameOf(input.argument("FILE"));
  return { name, ...labels, sha256, md5, size, ...present({ visibility }) };
}

/** Waits until an image is judged; throws its rejection. */
export async function waitForVerdict(
  context: Context,
  id: string,
  seconds: number | undefined,
): Promise<ImageView> {
  const progress = context.progress("verifying");
  const phases = { pending: 0, verifying: 50, active: 100, rejected: 100, retired: 100 };
  try {
    const view = await waitFor(context, {
      look: () => context.api.call("getImage", { params: { image: id } }),
      done: ({ state }) => state !== "pending" && state !== "verifying",
      show: ({ state }) => progress.show(phases[state], state),
      again: `gatehouse images show ${id}`,
      seconds,
    });
    if (view.state === "active") return view;
    if (view.reason !== undefined) throw new Failure(view.reason);
    throw new Fault("IMAGE_NOT_ACTIVE", `The image is ${view.state}`);
  } finally {
    progress.end();
  }
}

/** The file's name as an image name: the API takes letters, digits and . _ - only. */
function nameOf(path: string): string {
  const base = path.split("/").at(-1) ?? path;
  return base
    .replace(/[^A-Za-z0-9._-]+/g, "_")
    .replace(/^[._-]+/, "")
    .slice(0, 128);
}
