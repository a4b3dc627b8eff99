/**
 * Widget values of saved nodes: from a bare list to names and back, by the rules of the server (engine/graph/widgets.py).
 *
 * Files list the values of a node's widgets in the order of the class's inputs. A seed is followed by what happens to it
 * after a run, an upload by its kind of file, a box by its four numbers. The names come from the class. Of a class that
 * nobody here knows they come from the node: newer files have the values by name too (`widgets_values_named`) or list all
 * widgets among the inputs. Values of instances of subgraphs are the matter of `instanceValues.ts`.
 */
import { type InputDefinition, type NodeDefinition, widgetsOf } from "./definitions";
import { isObject, objects, same } from "./json";
import type { Json, JsonObject, NodeRecord, ValueForm, ValueKey } from "./types";

export const AFTER_RUN = ["fixed", "increment", "decrement", "randomize"] as const;

const AFTER_RUN_WORDS = new Set<Json>([...AFTER_RUN, "increment-wrap"]);
const UPLOAD_WORDS = new Set<Json>(["image", "video", "audio", "file"]);
const SEED_NAMES = new Set(["seed", "noise_seed"]);

export interface ReadValues {
  readonly values: Record<string, Json>;
  readonly controls: Record<string, string>;
  readonly form: ValueForm;
}

/** The values of a saved node by name, and how they lie in the file. */
export function readValues(node: JsonObject, definition: NodeDefinition | undefined): ReadValues {
  const saved = node["widgets_values"];
  if (isObject(saved) && !isBuiltIn(definition)) return { values: { ...saved }, controls: {}, form: { kind: "dict" } };
  const list: readonly Json[] = Array.isArray(saved) ? (saved as readonly Json[]) : [];
  const layout = layoutOf(node, definition);
  const named = namedValues(node);
  const keys = list.length === 0 ? [] : keysOf(node, list, definition);
  if (keys === null) return { values: named ?? {}, controls: {}, form: { kind: "opaque" } };
  const values: Record<string, Json> = {};
  const controls: Record<string, string> = {};
  if (list.length === 0 && named !== null) Object.assign(values, known(named, definition));
  keys.forEach((key, at) => {
    const value = list[at] ?? null;
    if (key.kind === "value") values[key.name] = value;
    else if (key.kind === "control") controls[key.name] = controlWord(value);
  });
  return { values, controls, form: { kind: "list", keys, ...(layout === null ? {} : { layout }) } };
}

/** Nodes that come with the server have lists; only packs with a front end of their own read an object. */
function isBuiltIn(definition: NodeDefinition | undefined): boolean {
  return definition !== undefined && /^(nodes|comfy_extras)\b/.test(definition.module);
}

/** The values that a node has by name beside its list; null if it has none. */
export function namedValues(node: JsonObject): Record<string, Json> | null {
  const named = node["widgets_values_named"];
  return isObject(named) && Object.keys(named).length > 0 ? { ...named } : null;
}

function known(named: Record<string, Json>, definition: NodeDefinition | undefined): Record<string, Json> {
  if (definition === undefined) return named;
  const names = new Set(widgetsOf(definition).map((widget) => widget.name));
  return Object.fromEntries(Object.entries(named).filter(([name]) => names.has(name)));
}

/** The layout of a new node's values. */
export function newForm(definition: NodeDefinition): ValueForm {
  const layout = layoutOf({ type: definition.type }, definition) ?? [];
  return { kind: "list", keys: layout, layout };
}

function keysOf(node: JsonObject, list: readonly Json[], definition: NodeDefinition | undefined): ValueKey[] | null {
  if (node["type"] === "PrimitiveNode") return primitiveKeys(list);
  if (definition !== undefined) return keysByDefinition(widgetsOf(definition), list);
  return keysByNamed(namedValues(node), list) ?? keysByName(listedWidgets(node), list);
}

/** What the definition of a node says about the layout of its values; null if there is none. */
function layoutOf(node: JsonObject, definition: NodeDefinition | undefined): readonly ValueKey[] | null {
  if (node["type"] === "PrimitiveNode") return null;
  if (definition === undefined) {
    const names = listedWidgets(node);
    return names.length === 0 ? null : names.map((name) => valueKey(name));
  }
  const held = layouts.get(definition);
  if (held !== undefined) return held;
  const layout = widgetsOf(definition).flatMap((widget) => [
    valueKey(widget.name, defaultValue(widget)),
    ...(widget.seed ? [{ kind: "control", name: widget.name } as const] : []),
    ...(widget.upload === undefined ? [] : [extra(widget.upload)]),
    ...partsOf(widget),
  ]);
  layouts.set(definition, layout);
  return layout;
}

/** A thousand samplers share one layout. */
const layouts = new WeakMap<NodeDefinition, readonly ValueKey[]>();

function primitiveKeys(list: readonly Json[]): ValueKey[] {
  return list.map((value, at) => {
    if (at === 0) return valueKey("value");
    return at === 1 && AFTER_RUN_WORDS.has(value) ? { kind: "control", name: "value" } : extra(value);
  });
}

/** The front end of the field shows a box as its four numbers too, and saves those after it. */
const BOX_PARTS = ["x", "y", "width", "height"];

function partsOf(widget: InputDefinition): ValueKey[] {
  return widget.type === "BOUNDING_BOX" ? BOX_PARTS.map((part) => ({ kind: "part", name: widget.name, part })) : [];
}

/** The names of the widgets that stand among the `inputs` of a saved node. */
export function listedWidgets(node: JsonObject): string[] {
  return objects(node["inputs"]).flatMap((slot) => {
    const widget = slot["widget"];
    return isObject(widget) && typeof widget["name"] === "string" ? [widget["name"]] : [];
  });
}

const CONTROL = "control_after_generate";

/** The keys of `list` as the values by name have them, if there are as many. */
function keysByNamed(named: Record<string, Json> | null, list: readonly Json[]): ValueKey[] | null {
  const names = Object.keys(named ?? {});
  if (names.length !== list.length) return null;
  return names.map((name, at) => (name.split("#")[0] === CONTROL && at > 0 ? { kind: "control", name: names[at - 1] ?? "" } : valueKey(name)));
}

/** The keys of `list` if exactly the widgets `names` have their values in it, else null. */
function keysByName(names: readonly string[], list: readonly Json[]): ValueKey[] | null {
  const keys: ValueKey[] = [];
  for (const [index, name] of names.entries()) {
    if (keys.length >= list.length) return null;
    keys.push(valueKey(name));
    const spare = list.length - names.length + index + 1 - keys.length > 0;
    if (spare && SEED_NAMES.has(name) && isControl(list, keys.length, spare)) keys.push({ kind: "control", name });
  }
  if (keys.length + 1 === list.length && UPLOAD_WORDS.has(list[keys.length] ?? null)) {
    keys.push(extra(list[keys.length] ?? null));
  }
  return keys.length === list.length && names.length > 0 ? keys : null;
}

/** By place alone, as the field reads them: of a seed the value after it says what happens to it, whatever stands there. */
function keysByDefinition(widgets: readonly InputDefinition[], list: readonly Json[]): ValueKey[] {
  const keys: ValueKey[] = [];
  for (const [index, widget] of widgets.entries()) {
    if (keys.length >= list.length) break;
    keys.push(valueKey(widget.name, defaultValue(widget)));
    const spare = list.length - keys.length > widgets.length - index - 1;
    if (widget.seed) keys.push({ kind: "control", name: widget.name });
    else if (spare && widget.upload !== undefined && UPLOAD_WORDS.has(list[keys.length] ?? null)) {
      keys.push(extra(list[keys.length] ?? null));
    }
    keys.push(...partsOf(widget));
  }
  return [...keys.slice(0, list.length), ...list.slice(keys.length).map(extra)];
}

/** Whether a value says what happens to a seed. Old files have a boolean there, told by there being one to spare. */
function isControl(list: readonly Json[], at: number, spare: boolean): boolean {
  const value = list[at] ?? null;
  return AFTER_RUN_WORDS.has(value) || (spare && typeof value === "boolean");
}

function controlWord(value: Json): string {
  if (typeof value === "boolean") return value ? "randomize" : "fixed";
  return typeof value === "string" ? value : "fixed";
}

function valueKey(name: string, fallback: Json = null): ValueKey {
  return { kind: "value", name, fallback };
}

function extra(value: Json): ValueKey {
  return { kind: "extra", value };
}

// ---- back

/** The values of a node as its file holds them, in a list and by name; undefined if the file has none. */
export interface Written {
  readonly values: Json | undefined;
  readonly named: Json | undefined;
}

/** What was not changed stays as it was. Who changes a value writes both forms: front ends of the field may read either. */
export function writeValues(node: NodeRecord): Written {
  const saved = node.raw["widgets_values"];
  const before = node.raw["widgets_values_named"];
  const values = writtenValues(node, saved);
  return { values, named: values === saved ? before : writeNamed(node, before, values) };
}

function writtenValues(node: NodeRecord, saved: Json | undefined): Json | undefined {
  const form = node.valueForm;
  if (form.kind === "opaque" || form.kind === "instance") return saved;
  if (form.kind === "dict") return isObject(saved) && same(saved, node.values) ? saved : { ...node.values };
  const list: readonly Json[] = Array.isArray(saved) ? (saved as readonly Json[]) : [];
  const names = new Set(form.keys.flatMap((key) => (key.kind === "value" ? [key.name] : [])));
  const complete = Object.keys(node.values).every((name) => names.has(name));
  if (!complete || !Array.isArray(saved)) {
    const unset = Object.keys(node.values).length === 0 || unchangedNamed(node);
    return unset ? saved : writeLayout(node, form.layout ?? form.keys);
  }
  const written = form.keys.map((key, at) => (key.kind === "part" && same(node.values[key.name], saidIn(form.keys, list, key.name)) ? (list[at] ?? null) : writeOne(node, key, list[at])));
  return Array.isArray(saved) && same(written, list) ? saved : written;
}

function saidIn(keys: readonly ValueKey[], list: readonly Json[], name: string): Json | undefined {
  return list[keys.findIndex((key) => key.kind === "value" && key.name === name)];
}

/** Whether a file that has the values by name alone says what the node holds. */
function unchangedNamed(node: NodeRecord): boolean {
  const named = namedValues(node.raw);
  return named !== null && Object.entries(node.values).every(([name, value]) => same(named[name], value));
}

function writeOne(node: NodeRecord, key: ValueKey, before: Json | undefined): Json {
  switch (key.kind) {
    case "extra":
      return key.value;
    case "value": {
      const value = node.values[key.name];
      return value === undefined ? key.fallback : value;
    }
    case "part": {
      const box = node.values[key.name];
      return (isObject(box) ? box[key.part] : undefined) ?? before ?? 0;
    }
    case "control": {
      const word = node.controls[key.name] ?? "fixed";
      return before !== undefined && controlWord(before) === word ? before : word;
    }
  }
}

/** The whole list that the definition asks for, with the values that it does not know after it. */
function writeLayout(node: NodeRecord, layout: readonly ValueKey[]): Json {
  const names = new Set(layout.flatMap((key) => (key.kind === "value" ? [key.name] : [])));
  const others = Object.keys(node.values).filter((name) => !names.has(name));
  return [...layout.map((key) => writeOne(node, key, undefined)), ...others.map((name) => node.values[name] ?? null)];
}

/** What was written in the list, by name, for new nodes and where the file has that; a name that comes again is told by its number. */
function writeNamed(node: NodeRecord, before: Json | undefined, list: Json | undefined): Json | undefined {
  const { valueForm: form } = node;
  if (!isObject(before) && node.raw["id"] !== undefined) return before;
  if (form.kind !== "list" || !Array.isArray(list)) return isObject(before) ? { ...before, ...node.values } : before;
  const written: Record<string, Json> = isObject(before) ? { ...before } : {};
  const counts = new Map<string, number>();
  const keys = form.keys.length === list.length ? form.keys : (form.layout ?? form.keys);
  keys.forEach((key, at) => {
    if (key.kind === "extra") return;
    const name = key.kind === "value" ? key.name : key.kind === "part" ? key.part : CONTROL;
    const count = counts.get(name) ?? 0;
    counts.set(name, count + 1);
    written[numbered(name, count)] = (list as readonly Json[])[at] ?? null;
  });
  return written;
}

/** `name` as it is written among values by name when it comes for the `count`-th time, from 0. */
export function numbered(name: string, count: number): string {
  return count === 0 ? name : `${name}#${count}`;
}

/** The value of a widget that was never set. */
export function defaultValue(input: InputDefinition): Json {
  if (input.default !== undefined) return input.multiSelect && !Array.isArray(input.default) ? [input.default] : input.default;
  switch (input.kind) {
    case "int":
    case "float":
      return Math.min(Math.max(0, input.min ?? 0), input.max ?? Infinity);
    case "boolean":
      return false;
    case "combo":
      return input.multiSelect ? [] : (input.choices?.[0] ?? null);
    case "color":
      return input.type === "STRING" || input.type === "COLOR" ? "#000000" : 0;
    case "string":
      return "";
    case "json":
      return input.type === "BOUNDING_BOX" ? { x: 0, y: 0, width: 512, height: 512 } : null;
    case "socket":
      return null;
  }
}
