import { Fault } from "#domain/faults";
import type { ImageView } from "#protocol/http/images";
import type { ManifestStatement } from "#protocol/images/manifest";
import type { Command, Context, Input } from "../command.ts";
import { readImage } from "../digesting.ts";
import { usage } from "../failure.ts";
import { withPath } from "../files.ts";
import { objectOutput, textOutput } from "../output.ts";
import { manifestFlags, manifestFor, newSigningKey, statementOf } from "../signing.ts";
import { waitTimeoutFlag } from "../wait.ts";
import { labelFlags, waitForVerdict } from "./image-upload.ts";

/** `images sign`: give a manifest for an image that is uploaded already. */
export const imageSign: Command = {
  words: ["images", "sign"],
  summary: "Give a signed manifest for an image",
  detail:
    "With --key the statement is made from --file and must be of the image's bytes. Without --file it\nrepeats what the service says about the image: then you vouch for the service's word.",
  arguments: [{ name: "IMAGE", help: "Image id" }],
  flags: [
    ...manifestFlags,
    {
      name: "file",
      kind: "text",
      value: "FILE",
      help: "The image's own file, to vouch for its bytes",
    },
    { name: "wait", kind: "switch", help: "Wait until the image is active or rejected" },
    waitTimeoutFlag,
  ],
  calls: ["getImage", "signImage"],
  run: signImage,
};

/** `images manifest`: sign a file without a service, for uploads that go straight to the bucket. */
export const imageManifest: Command = {
  words: ["images", "manifest"],
  summary: "Print a signed manifest of a file, to be put beside it as <key>.manifest.json",
  arguments: [{ name: "FILE", help: "A GBS or xclbin file" }],
  flags: [...labelFlags, ...manifestFlags.filter(({ name }) => name !== "manifest")],
  calls: [],
  async run(context, input) {
    const labels = { vendor: input.text("vendor") ?? "", type: input.text("type") ?? "" };
    const local = await readImage(context, input.argument("FILE"), { vendor: labels.vendor });
    const manifest = await manifestFor(context, input, () => statementOf(local, labels));
    if (manifest === undefined)
      throw usage("images manifest: --key is missing", "key", "a key file");
    return textOutput(JSON.stringify(manifest, undefined, 2), manifest, [manifest.keyId]);
  },
};

/** `images keygen`: a key pair for signing. */
export const imageKeygen: Command = {
  words: ["images", "keygen"],
  summary: "Make an Ed25519 key pair for signing images",
  detail: "Writes FILE (private, mode 0600) and FILE.pub. Nothing is overwritten.",
  flags: [{ name: "out", kind: "text", value: "FILE", help: "Where to write", required: true }],
  calls: [],
  async run({ io, note }, input) {
    const path = input.text("out") ?? "";
    const publicPath = `${path}.pub`;
    const key = newSigningKey();
    await withPath(path, io.files.create(path, key.privatePem, 0o600));
    await withPath(publicPath, io.files.create(publicPath, key.publicPem, 0o644));
    note(`trust it with: gatehouse keys add ${publicPath} --name NAME`);
    const view = { id: key.keyId, privateKey: path, publicKey: publicPath };
    return objectOutput(view, key.keyId);
  },
};

async function signImage(context: Context, input: Input) {
  const { api } = context;
  const image = input.argument("IMAGE");
  const manifest = await manifestFor(context, input, async () =>
    statementFor(context, await api.call("getImage", { params: { image } }), input.text("file")),
  );
  if (manifest === undefined) {
    throw usage("images sign: --manifest or --key is missing", "manifest", "a manifest or a key");
  }
  const view = await api.call("signImage", { params: { image }, body: { manifest } });
  return input.on("wait")
    ? objectOutput(await waitForVerdict(context, image, input.number("wait-timeout")), image)
    : objectOutput(view, view.id);
}

async function statementFor(
  context: Context,
  image: ImageView,
  file: string | undefined,
): Promise<ManifestStatement> {
  if (file === undefined) {
    context.note("signing what the service says of this image; --file signs the bytes you have");
    return storedStatement(image);
  }
  const local = await readImage(context, file, { vendor: image.vendor });
  if (image.sha256 !== undefined && image.sha256 !== local.digest.sha256) {
    throw new Fault("IMAGE_CORRUPT", `${file} is not this image`, {
      field: "sha256",
      expected: image.sha256,
    });
  }
  return statementOf(local, image);
}

function storedStatement(image: ImageView): ManifestStatement {
  const { sha256, size, format, functionId, interfaceId, vendor, type } = image;
  const known = { sha256, size, format, functionId };
  for (const [field, value] of Object.entries(known)) {
    if (value !== undefined) continue;
    throw new Fault("WRONG_STATE", `The service does not know the image's ${field} yet`, {
      field,
      hint: "sign its file: --file FILE",
    });
  }
  return {
    ...(known as { sha256: string; size: number; format: string; functionId: string }),
    vendor,
    type,
    ...(interfaceId === undefined ? {} : { interfaceId }),
  };
}
