import type { ImageView } from "#protocol/http/images";
import { imageStates } from "#protocol/http/images";
import { objectCommand } from "../acting.ts";
import type { Command } from "../command.ts";
import { listCommand } from "../listing.ts";
import { imageKeygen, imageManifest, imageSign } from "./image-signing.ts";
import { imageUpload } from "./image-upload.ts";

const image = { name: "IMAGE", help: "Image id" };

const list = listCommand({
  words: ["images", "list"],
  summary: "List images of the project and shared ones",
  operation: "listImages",
  flags: [
    {
      name: "state",
      kind: "text",
      value: "STATE",
      choices: imageStates,
      help: "Only in this state",
    },
    { name: "type", kind: "text", value: "TYPE", help: "Only of this type, such as crypto" },
    { name: "vendor", kind: "text", value: "VENDOR", help: "Only for cards of this vendor" },
  ],
  query: (input) => ({
    state: input.text("state"),
    type: input.text("type"),
    vendor: input.text("vendor"),
  }),
  columns: [
    { title: "ID", of: (row: ImageView) => row.id },
    { title: "NAME", of: (row) => row.name, flex: true },
    { title: "STATE", of: (row) => row.state },
    { title: "VENDOR", of: (row) => row.vendor, extra: true },
    { title: "TYPE", of: (row) => row.type },
    { title: "SOURCE", of: (row) => row.source, extra: true },
    { title: "VISIBILITY", of: (row) => row.visibility, extra: true },
    { title: "SIGNED", of: (row) => row.signedBy !== undefined, extra: true },
    { title: "REASON", of: (row) => row.reason?.code, flex: true, extra: true },
  ],
  id: (row) => row.id,
});

const show = objectCommand({
  words: ["images", "show"],
  summary: "Show one image",
  operation: "getImage",
  param: "image",
  argument: image,
  id: (view) => view.id,
});

const retire = objectCommand({
  words: ["images", "retire"],
  summary: "Retire an image: it is not programmed any more",
  operation: "retireImage",
  param: "image",
  argument: image,
  id: (view) => view.id,
});

/** Commands of images. */
export const imageCommands: readonly Command[] = [
  imageUpload,
  list,
  show,
  retire,
  imageSign,
  imageManifest,
  imageKeygen,
];
