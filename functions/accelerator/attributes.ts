import { type Deployable } from "#domain/deployable";
import { isFault } from "#domain/faults";
import { isCounted } from "#domain/inventory";
import { addCustomTrait, removeCustomTrait } from "#domain/operating";
import { isTraitName } from "#domain/traits";
import { changeDeployable, findDeployable, readDeployable } from "#store/deployables";
import { deployablesFrom, fleetAfter } from "#store/fleet";
import type { Store } from "#store/store";
import { type Attribute, attributesOf, attributeView } from "./attribute-view.ts";
import { placed } from "./deployable-view.ts";
import type { Call, Endpoint } from "./endpoint.ts";
import { notFound, type Reply, refusal } from "./errors.ts";
import type { Accelerator } from "./parts.ts";
import { asUuid, attributeId, prefixesOf, uuidArgument } from "./uuids.ts";

/**
 * Attributes of deployables (cyborg.md §1.6). Those that an operator gives stay on the deployable's
 * row, whatever its agent reports; those that follow from the hardware cannot be taken away.
 */

/** Most that operators can give to one deployable: its row has an end. */
const mostCustom = 64;
const longestText = 255;

async function list(parts: Accelerator, call: Call): Promise<Reply> {
  const { store } = parts.binding;
  const [number, key] = [call.query.get("deployable_id"), call.query.get("key")];
  const found: Attribute[] = [];
  const pages =
    number === null
      ? fleetAfter<Deployable>(store, "DEPLOYABLES#")
      : [await deployablesNamed(store, number)];
  for await (const deployables of pages) {
    const shown = deployables.filter(isCounted);
    found.push(...(await attributesOfAll(parts, shown)));
  }
  const attributes = found.filter((one) => key === null || one.key === key);
  return {
    status: 200,
    body: { attributes: attributes.map((one) => attributeView(one, call.base)) },
  };
}

async function attributesOfAll(
  { binding: { store }, settings: { shape } }: Accelerator,
  deployables: readonly Deployable[],
): Promise<readonly Attribute[]> {
  const all = await placed(store, shape, deployables);
  return all.flatMap(({ deployable, provider }) =>
    attributesOf(deployable, provider?.resourceClass ?? deployable.resourceClass),
  );
}

/** Deployables that Cyborg's integer means, or the one of a uuid. 400 for what is neither. */
async function deployablesNamed(store: Store, text: string): Promise<readonly Deployable[]> {
  const id = asUuid(text);
  if (id === undefined) return await deployablesNumbered(store, numberOf(text));
  try {
    return [await findDeployable(store, id)];
  } catch (error) {
    if (isFault(error, "UNKNOWN_DEPLOYABLE")) return [];
    throw error;
  }
}

function numberOf(text: string): number {
  if (/^\d{1,10}$/.test(text) && Number(text) < 2 ** 31) return Number(text);
  throw refusal(
    400,
    `Invalid input for field/attribute deployable_id. Value: '${text}'. Expected an integer or a uuid`,
  );
}

async function deployablesNumbered(store: Store, number: number): Promise<readonly Deployable[]> {
  const found = await Promise.all(
    prefixesOf(number).map(async (prefix) => await startingWith(store, prefix)),
  );
  return found.flat();
}

/** The deployables whose ids begin so, consistently read. */
async function startingWith(store: Store, prefix: string): Promise<readonly Deployable[]> {
  const places = await deployablesFrom(store, prefix);
  const found = await Promise.all(
    places.map(async ({ host, id }) => await readDeployable(store, host, id)),
  );
  return found.flatMap((one) => one ?? []);
}

/** The attribute of a path; 404. */
async function attributeOf(parts: Accelerator, call: Call): Promise<Attribute> {
  const id = uuidArgument(call.path["uuid"] ?? "");
  const deployables = await startingWith(parts.binding.store, id.slice(0, 8));
  const attributes = await attributesOfAll(parts, deployables.filter(isCounted));
  const attribute = attributes.find((one) => one.id === id);
  if (attribute === undefined) throw notFound("Attribute", id);
  return attribute;
}

async function get(parts: Accelerator, call: Call): Promise<Reply> {
  return { status: 200, body: attributeView(await attributeOf(parts, call), call.base) };
}

async function create(parts: Accelerator, call: Call): Promise<Reply> {
  const { store } = parts.binding;
  const { deployable: text, key, value } = wanted(call.json());
  const [found, ...others] = (await deployablesNamed(store, text)).filter(isCounted);
  if (found === undefined) throw notFound("Deployable", text, "id");
  if (others.length > 0) throw refusal(409, `Several deployables have id ${text}: use the uuid.`);
  const createdAt = store.now();
  const id = attributeId(found.id, "custom", parts.newId());
  await changeDeployable(store, found, (one) => {
    checkRoom(one);
    return addCustomTrait(one, { id, key, value, createdAt }, createdAt);
  });
  const attribute = { id, deployable: found.id, key, value, createdAt, isCustom: true };
  return { status: 201, body: attributeView(attribute, call.base) };
}

function wanted(body: unknown): { deployable: string; key: string; value: string } {
  if (typeof body !== "object" || body === null) throw refusal(400, "An attribute is an object");
  const { deployable_id: deployable, key, value } = body as Readonly<Record<string, unknown>>;
  if (typeof deployable !== "string" && typeof deployable !== "number") {
    throw refusal(400, "deployable_id is needed.");
  }
  const attribute = {
    deployable: String(deployable),
    key: textOf("key", key),
    value: textOf("value", value),
  };
  checkTrait(attribute);
  return attribute;
}

function textOf(name: string, value: unknown): string {
  if (typeof value === "string" && value !== "" && value.length <= longestText) return value;
  throw refusal(400, `${name} must be text of 1 to ${longestText} characters.`);
}

/** What is called a trait becomes one in Placement, which takes no other names. */
function checkTrait({ key, value }: { readonly key: string; readonly value: string }): void {
  if (!key.startsWith("trait") || (value.startsWith("CUSTOM_") && isTraitName(value))) return;
  throw refusal(400, `Unsupported trait name format ${value}, should start with CUSTOM_`);
}

function checkRoom({ customTraits = [] }: Deployable): void {
  if (customTraits.length < mostCustom) return;
  throw refusal(409, `A deployable can be given ${mostCustom} attributes at most.`);
}

async function remove(parts: Accelerator, call: Call): Promise<Reply> {
  const { store } = parts.binding;
  const { id, deployable, isCustom } = await attributeOf(parts, call);
  if (!isCustom) {
    throw refusal(409, `Attribute ${id} follows from the hardware and cannot be deleted.`);
  }
  const found = await findDeployable(store, deployable);
  await changeDeployable(store, found, (one) => removeCustomTrait(one, id, store.now()));
  return { status: 204 };
}

/** The paths of attributes. */
export function attributeEndpoints(parts: Accelerator): readonly Endpoint[] {
  return [
    {
      path: "attributes",
      methods: {
        GET: {
          rule: "cyborg:attribute:get_all",
          takes: ["deployable_id", "key"],
          run: async (call) => await list(parts, call),
        },
        POST: { rule: "cyborg:attribute:create", run: async (call) => await create(parts, call) },
      },
    },
    {
      path: "attributes/{uuid}",
      methods: {
        GET: { rule: "cyborg:attribute:get_one", run: async (call) => await get(parts, call) },
        DELETE: { rule: "cyborg:attribute:delete", run: async (call) => await remove(parts, call) },
      },
    },
  ];
}
