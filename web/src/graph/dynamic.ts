/**
 * Inputs that come and go with values and links: a choice that brings inputs of its own (DynamicCombo), inputs that grow as
 * they are linked (Autogrow), sockets that agree on one type (MatchType). Prompts and files name them `group.input`.
 */
import { CUSTOM_COMBO, customInputs, savedOptions } from "./customCombo";
import type { Choice, InputDefinition, NodeDefinition } from "./definitions";
import { finite, isObject, text } from "./json";
import type { Json, JsonObject, NodeRecord } from "./types";

export const CHOOSING = "COMFY_DYNAMICCOMBO_V3";
const GROWING = "COMFY_AUTOGROW_V3";
const MATCHING = "COMFY_MATCHTYPE_V3";

/** The inputs that each choice brings, by the choice, named without the group. */
export type Branches = ReadonlyMap<Json, readonly InputDefinition[]>;

/** One input many times, under these names. */
export interface Growth {
  readonly input: InputDefinition;
  readonly names: readonly string[];
  readonly min: number;
}

/** How a class declares inputs of which a node shows some; `shapes` are the definitions already made, by what they show. */
export interface Dynamic {
  readonly declared: readonly InputDefinition[];
  readonly shapes: Map<string, NodeDefinition>;
}

/** What decides which inputs a node has. */
export interface Holding {
  readonly values: Readonly<Record<string, Json>>;
  readonly linked: ReadonlySet<string>;
}

type Parse = (name: string, entry: Json | undefined, required: boolean) => InputDefinition;
type Parts = Partial<Pick<InputDefinition, "type" | "choices" | "branches" | "grows" | "template">>;

/** Most inputs that may grow from one. */
const MOST = 100;

/** What a dynamic input has beyond others, read from its options. Throws what `parse` throws. */
export function dynamicParts(type: string, options: JsonObject, parse: Parse): Parts {
  const template = isObject(options["template"]) ? options["template"] : {};
  if (type === CHOOSING) return choosing(options["options"], parse);
  if (type === GROWING) return growing(template, parse);
  const id = text(template["template_id"]);
  if (id === undefined) return {};
  return { template: id, ...(type === MATCHING ? { type: text(template["allowed_types"]) || "*" } : {}) };
}

function choosing(listed: Json | undefined, parse: Parse): Parts {
  const options = (Array.isArray(listed) ? (listed as readonly Json[]) : []).filter(isObject);
  const branches = new Map(options.map((one) => [one["key"] ?? null, inputsOf(one["inputs"], parse)]));
  return { branches, choices: [...branches.keys()].filter((key): key is Choice => key !== null && typeof key !== "object") };
}

function growing(template: JsonObject, parse: Parse): Parts {
  const [input] = inputsOf(template["input"], parse);
  if (input === undefined) return {};
  const named = template["names"];
  const most = Math.min(finite(template["max"]) ?? MOST, MOST);
  const names = Array.isArray(named)
    ? (named as readonly Json[]).map(String)
    : Array.from({ length: most }, (_, at) => `${text(template["prefix"]) ?? ""}${at}`);
  return { grows: { input, names, min: Math.min(Math.max(finite(template["min"]) ?? 1, 0), names.length) } };
}

function inputsOf(groups: Json | undefined, parse: Parse): InputDefinition[] {
  if (!isObject(groups)) return [];
  return (["required", "optional"] as const).flatMap((group) => {
    const entries = groups[group];
    return isObject(entries) ? Object.entries(entries).map(([name, entry]) => parse(name, entry, group === "required")) : [];
  });
}

/** `definition`, of which new nodes show what no value and no link asks for. */
export function withDynamics(definition: NodeDefinition): NodeDefinition {
  const changing = (one: InputDefinition | { template?: string }): boolean =>
    one.template !== undefined || ("branches" in one && one.branches !== undefined) || ("grows" in one && one.grows !== undefined);
  const own = definition.type === CUSTOM_COMBO;
  if (!own && !definition.inputs.some(changing) && !definition.outputs.some(changing)) return definition;
  return shapeFor({ ...definition, dynamic: { declared: definition.inputs, shapes: new Map() } }, { values: {}, linked: new Set() });
}

/** What a node with these values and links looks like. The same object for the same inputs. */
export function shapeFor(definition: NodeDefinition, holding: Holding): NodeDefinition {
  const { dynamic } = definition;
  if (dynamic === undefined) return definition;
  // What grows stands first, as in the field: there the order of the values in files is that of the widgets.
  const declared = [...dynamic.declared.filter((one) => one.grows), ...dynamic.declared.filter((one) => !one.grows)];
  const own = definition.type === CUSTOM_COMBO;
  const inputs = own ? customInputs(dynamic.declared, holding.values) : declared.flatMap((one) => expand(one, holding));
  const told = (one: InputDefinition): string => (own ? JSON.stringify(one.choices ?? "") : one.branches ? JSON.stringify(chosen(one, holding)) : "");
  const key = inputs.map((one) => `${one.name} ${one.kind} ${told(one)}`).join("\n");
  const held = dynamic.shapes.get(key);
  if (held !== undefined) return held;
  const shape = { ...definition, inputs };
  dynamic.shapes.set(key, shape);
  return shape;
}

function chosen(input: InputDefinition, holding: Holding): Json {
  return holding.values[input.name] ?? input.default ?? input.choices?.[0] ?? null;
}

function expand(input: InputDefinition, holding: Holding): InputDefinition[] {
  if (input.grows !== undefined) return grown(input.name, input.grows, holding).flatMap((one) => expand(one, holding));
  if (input.branches === undefined) return [input];
  const brought = input.branches.get(chosen(input, holding)) ?? [];
  return [input, ...brought.flatMap((one) => expand({ ...one, name: `${input.name}.${one.name}`, label: one.label ?? one.name }, holding))];
}

/** As many as are asked for and one more, as the front ends of the field show them. Those beyond the least number only take links. */
function grown(group: string, { input, names, min }: Growth, { values, linked }: Holding): InputDefinition[] {
  const full = names.map((name) => `${group}.${name}`);
  const last = full.findLastIndex((name) => linked.has(name));
  const set = full.findLastIndex((name) => values[name] !== undefined);
  const count = Math.max(Math.max(min, last + 1) + 1, set + 1);
  return full.slice(0, count).map((name, at) => ({
    ...input,
    name,
    label: names[at],
    required: input.required && at < min,
    ...(at < Math.max(min, 1) || values[name] !== undefined ? {} : { kind: "socket" }),
  }));
}

/** Whether an input belongs to a group that shows some of its inputs. */
export function isGrouped(definition: NodeDefinition, name: string): boolean {
  return definition.dynamic?.declared.some((one) => (one.branches ?? one.grows) !== undefined && name.startsWith(`${one.name}.`)) ?? false;
}

const shapes = new WeakMap<NodeRecord, { readonly dynamic: Dynamic; readonly shape: NodeDefinition }>();

/** What a node of this class looks like with what it holds. */
export function shapeOf(node: NodeRecord, definition: NodeDefinition): NodeDefinition {
  const { dynamic } = definition;
  if (dynamic === undefined) return definition;
  const held = shapes.get(node);
  if (held?.dynamic === dynamic) return held.shape;
  const linked = new Set(node.inputs.flatMap((slot) => (slot.link === null ? [] : [slot.widget ?? slot.name])));
  const shape = shapeFor(definition, { values: node.values, linked });
  if (Object.isFrozen(node)) shapes.set(node, { dynamic, shape });
  return shape;
}

type ReadNames = (node: JsonObject, definition: NodeDefinition) => { readonly values: Readonly<Record<string, Json>> };

/** What a saved node looks like. Each choice that is read says where the values after it stand. */
export function shapeOfSaved(node: JsonObject, definition: NodeDefinition, read: ReadNames): NodeDefinition {
  if (definition.dynamic === undefined) return definition;
  const slots = Array.isArray(node["inputs"]) ? (node["inputs"] as readonly Json[]).filter(isObject) : [];
  const linked = new Set(slots.flatMap((slot) => (slot["link"] == null ? [] : [nameOf(slot)])));
  const valued = definition.type === CUSTOM_COMBO ? savedOptions(node["widgets_values"]) : grownWidgets(definition.dynamic, { values: {}, linked }, slots);
  let shape = definition;
  for (let depth = 0; depth < DEEPEST; depth += 1) {
    const next = shapeFor(definition, { values: { ...valued, ...read(node, shape).values }, linked });
    if (next === shape) break;
    shape = next;
  }
  return shape;
}

/**
 * The inputs that have grown and have a place among the saved values: the widgets that the node lists. Front ends of the
 * field list the linked ones alone in what they send; then all of them.
 */
function grownWidgets(dynamic: Dynamic, holding: Holding, slots: readonly JsonObject[]): Record<string, null> {
  const names = dynamic.declared.flatMap((group) => {
    const listed = group.grows ? slots.filter((slot) => nameOf(slot).startsWith(`${group.name}.`)) : [];
    if (listed.some((slot) => slot["link"] == null)) return listed.filter((slot) => isObject(slot["widget"])).map(nameOf);
    return group.grows ? expand(group, holding).map((input) => input.name) : [];
  });
  return Object.fromEntries(names.map((name) => [name, null]));
}

/** Choices inside of choices that are followed. */
const DEEPEST = 12;

function nameOf(slot: JsonObject): string {
  const widget = slot["widget"];
  return (isObject(widget) ? text(widget["name"]) : undefined) ?? text(slot["name"]) ?? "";
}
