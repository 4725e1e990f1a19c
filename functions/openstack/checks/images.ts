import type { OpenStack } from "#openstack/cloud";
import { type GlanceImage, taggedImages } from "#openstack/glance";
import { readImage } from "#store/images";
import type { Store } from "#store/store";
import { fpgaTag } from "../../glance/read.ts";
import { type Check, type Finding, ok, skipped, warning } from "./check.ts";

/** Whether Glance's FPGA images can be used here. */
export interface Imaging {
  readonly store: Store;
  readonly openstack: OpenStack;
  readonly glance: "off" | "read" | "write";
}

/** Images that one check looks at. */
const most = 200;
const pageSize = 100;

export function imageCheck(imaging: Imaging): Check {
  return { name: "glance images", look: async () => await images(imaging) };
}

async function images({ store, openstack, glance }: Imaging): Promise<readonly Finding[]> {
  if (glance === "off") return [skipped("GATEHOUSE_GLANCE is off")];
  const tagged: GlanceImage[] = [];
  for await (const image of taggedImages(openstack, { tag: fpgaTag, pageSize })) {
    tagged.push(image);
    if (tagged.length === most) break;
  }
  const findings: Finding[] = [];
  let active = 0;
  for (const { id, name } of tagged) {
    const image = await readImage(store, id);
    if (image?.state === "active") active += 1;
    else findings.push(unusable(`${name} ${id}`, image));
  }
  const some = tagged.length === most ? ` of the first ${most}` : ` of ${tagged.length}`;
  return [ok(`${active}${some} images tagged ${fpgaTag} can be used`), ...findings];
}

function unusable(which: string, image: Awaited<ReturnType<typeof readImage>>): Finding {
  if (image === undefined) {
    return warning(`${which} is not here yet`, "wait a minute; else look at the function glance");
  }
  const why = image.reason === undefined ? "" : `: ${image.reason.message}`;
  return warning(`${which} is ${image.state}${why}`, "see docs/images.md, Glance");
}
