import type { Claim } from "#domain/claim";
import { type Deployable, heldHandles } from "#domain/deployable";
import { Fault } from "#domain/faults";
import { type ActiveImage, wantedImage } from "#domain/image";
import { isCompatible } from "#domain/inventory";
import { program } from "#domain/transitions";
import type { OperationView, ProgramRequest } from "#protocol/http/deployables";
import { changeDeployable } from "#store/deployables";
import { type Once, recall, rememberOnce } from "#store/idempotency";
import type { Store } from "#store/store";
import type { Catalogue } from "../parts/catalogue.ts";
import type { Answer, Caller } from "./call.ts";
import { operationId, timeOf } from "./views.ts";

/** Programming needs a claim on every claimed handle: someone else's must have agreed (I6). */
function checkConsent(deployable: Deployable, caller: Caller): void {
  const held = heldHandles(deployable);
  if (held.length === 0) {
    throw new Fault("WRONG_STATE", "no claim holds this deployable", { expected: "a claim on it" });
  }
  if (held.some(([, handle]) => handle.holder?.project !== caller.project)) {
    throw new Fault("IN_USE", "another project holds a handle of this deployable");
  }
}

/** A handle in a guest is unplugged live only when the caller says so (design §5). */
function checkPlugged(deployable: Deployable, request: ProgramRequest): void {
  const plugged = heldHandles(deployable).filter(
    ([, handle]) => handle.plugged || handle.state === "plugged",
  );
  if (plugged.length > 0 && request.replug !== true) {
    throw new Fault("IN_USE", `${plugged.map(([name]) => name).join(", ")} is in a guest`, {
      steps: ["detach the claim, program, attach again", "or repeat with replug: true"],
    });
  }
}

function checkFit(deployable: Deployable, image: ActiveImage): void {
  if (isCompatible(deployable, image)) return;
  throw new Fault("IMAGE_INCOMPATIBLE", `image ${image.id} is not for this region`, {
    field: "image",
    expected: deployable.interfaceId ?? "a deployable that can be programmed",
  });
}

/** A program call: who, what, and what makes it happen once. */
export interface ProgramCall {
  readonly caller: Caller;
  readonly request: ProgramRequest;
  readonly once: Once;
}

/** Programs a deployable on which the caller's project holds every claim. */
export async function programDeployable(
  parts: { readonly store: Store; readonly catalogue: Catalogue },
  where: { readonly host: string; readonly id: string },
  wanted: ProgramCall,
): Promise<Answer> {
  const { store, catalogue } = parts;
  const { caller, request, once } = wanted;
  const answered = await recall<OperationView>(store, once);
  if (answered !== undefined) return { body: answered };
  const image = await catalogue.get(request.image, caller);
  const wish = {
    image: wantedImage(image),
    force: request.force,
    replug: request.replug,
  };
  const change = (deployable: Deployable) => {
    checkConsent(deployable, caller);
    checkPlugged(deployable, request);
    checkFit(deployable, image);
    return program(deployable, wish, store.now());
  };
  const remember = (after: Deployable) => [
    rememberOnce(once, startedOperation(after), store.now()),
  ];
  const after = await changeDeployable(store, where, change, remember);
  return { body: startedOperation(after) };
}

/** Programs the deployable of a Bound claim. WRONG_STATE before it is bound. */
export async function programClaimed(
  parts: { readonly store: Store; readonly catalogue: Catalogue },
  wanted: ProgramCall & { readonly claim: Claim },
): Promise<Answer> {
  const { state, host, deployable: id } = wanted.claim;
  if (state !== "Bound" || host === undefined || id === undefined) {
    throw new Fault("WRONG_STATE", `the claim is ${state}`, { expected: "Bound" });
  }
  const owner = { ...wanted.caller, project: wanted.claim.project };
  return await programDeployable(parts, { host, id }, { ...wanted, caller: owner });
}

function startedOperation(deployable: Deployable): OperationView {
  const holder = heldHandles(deployable)[0]?.[1].holder;
  const { image } = deployable.wish;
  const at = timeOf(deployable.updatedAt);
  return {
    id: operationId(deployable.id, deployable.imageGeneration),
    deployable: deployable.id,
    imageGeneration: deployable.imageGeneration,
    kind: "program",
    ...(image === undefined ? {} : { image: image.id }),
    ...(holder === undefined ? {} : { claim: holder.claim }),
    phase: "idle",
    percent: 0,
    state: "running",
    startedAt: at,
    updatedAt: at,
  };
}
