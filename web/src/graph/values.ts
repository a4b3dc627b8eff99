/**
 * Widget values of saved nodes: from a bare list to names and back, by the rules of the server (engine/graph/widgets.py).
 *
 * Files list the values of a node's widgets in the order of the class's inputs. A seed is followed by what happens to it
 * after a run, an upload by its kind of file. The names come from the node itself where it lists all of its widgets,
 * else from its definition.
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
  if (isObject(saved)) return { values: { ...saved }, controls: {}, form: { kind: "dict" } };
  const list: readonly Json[] = Array.isArray(saved) ? (saved as readonly Json[]) : [];
  const layout = layoutOf(node, definition);
  const keys = list.length === 0 ? [] : keysOf(node, list, definition);
  if (keys === null) return { values: {}, controls: {}, form: { kind: "opaque" } };
  const values: Record<string, Json> = {};
  const controls: Record<string, string> = {};
  keys.forEach((key, at) => {
    const value = list[at] ?? null;
    if (key.kind === "value") values[key.name] = value;
    else if (key.kind === "control") controls[key.name] = controlWord(value);
  });
  return { values, controls, form: { kind: "list", keys, ...(layout === null ? {} : { layout }) } };
}

/** The layout of a new node's values. */
export function newForm(definition: NodeDefinition): ValueForm {
  const layout = layoutOf({ type: definition.type }, definition) ?? [];
  return { kind: "list", keys: layout, layout };
}

/** The layout of an instance's values: a bare list in the order of `names`, where null leaves the value inside. */
export function instanceForm(names: readonly string[]): ValueForm {
  const layout = names.map((name) => valueKey(name));
  return { kind: "list", keys: layout, layout };
}

/** The names of the values that a form has a place for. */
export function namesIn(form: ValueForm): string[] {
  const keys = form.kind === "list" ? (form.layout ?? form.keys) : [];
  return keys.flatMap((key) => (key.kind === "value" ? [key.name] : []));
}

function keysOf(node: JsonObject, list: readonly Json[], definition: NodeDefinition | undefined): ValueKey[] | null {
  if (node["type"] === "PrimitiveNode") return primitiveKeys(list);
  const proxies = proxyKeys(node);
  if (proxies !== null && proxies.length === list.length) return proxies;
  return keysByName(listedWidgets(node), list) ?? (definition ? keysByDefinition(widgetsOf(definition), list) : null);
}

/** What the definition of a node says about the layout of its values; null if there is none. */
function layoutOf(node: JsonObject, definition: NodeDefinition | undefined): readonly ValueKey[] | null {
  const proxies = proxyKeys(node);
  if (proxies !== null) return proxies;
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

/** The widgets of an instance of a subgraph, if it lists them: its own inputs (-1) and widgets of nodes inside. */
export function proxyKeys(node: JsonObject): ValueKey[] | null {
  const properties = node["properties"];
  const proxies = isObject(properties) ? properties["proxyWidgets"] : undefined;
  if (!Array.isArray(proxies) || proxies.length === 0) return null;
  return (proxies as readonly Json[]).map((one) => {
    const pair = Array.isArray(one) ? (one as readonly Json[]) : [];
    return pair.length < 2 ? extra(null) : valueKey(proxyName(String(pair[0]), String(pair[1])));
  });
}

/** The name under which an instance holds the value of `widget` of its inner node. */
export function proxyName(inner: string, widget: string): string {
  return inner === "-1" ? widget : `${inner}:${widget}`;
}

/** The names of the widgets that stand among the `inputs` of a saved node. */
export function listedWidgets(node: JsonObject): string[] {
  return objects(node["inputs"]).flatMap((slot) => {
    const widget = slot["widget"];
    return isObject(widget) && typeof widget["name"] === "string" ? [widget["name"]] : [];
  });
}

/** The keys of `list` if exactly the widgets `names` have their values in it, else null. */
function keysByName(names: readonly string[], list: readonly Json[]): ValueKey[] | null {
  const keys: ValueKey[] = [];
  for (const [index, name] of names.entries()) {
    if (keys.length >= list.length) return null;
    keys.push(valueKey(name));
    const spare = list.length - names.length + index + 1 - keys.length > 0;
    if (spare && SEED_NAMES.has(name.slice(name.lastIndexOf(".") + 1)) && isControl(list, keys.length, spare)) keys.push({ kind: "control", name });
  }
  if (keys.length + 1 === list.length && UPLOAD_WORDS.has(list[keys.length] ?? null)) {
    keys.push(extra(list[keys.length] ?? null));
  }
  return keys.length === list.length && names.length > 0 ? keys : null;
}

function keysByDefinition(widgets: readonly InputDefinition[], list: readonly Json[]): ValueKey[] {
  const keys: ValueKey[] = [];
  for (const [index, widget] of widgets.entries()) {
    if (keys.length >= list.length) break;
    keys.push(valueKey(widget.name, defaultValue(widget)));
    const spare = list.length - keys.length > widgets.length - index - 1;
    if (widget.seed && isControl(list, keys.length, spare)) keys.push({ kind: "control", name: widget.name });
    else if (spare && widget.upload !== undefined && UPLOAD_WORDS.has(list[keys.length] ?? null)) {
      keys.push(extra(list[keys.length] ?? null));
    }
  }
  return [...keys, ...list.slice(keys.length).map(extra)];
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

/** The values of a node as its file holds them; undefined if the file has none. What was not changed stays as it was. */
export function writeValues(node: NodeRecord): Json | undefined {
  const saved = node.raw["widgets_values"];
  const form = node.valueForm;
  if (form.kind === "opaque") return saved;
  if (form.kind === "dict") return isObject(saved) && same(saved, node.values) ? saved : { ...node.values };
  const list: readonly Json[] = Array.isArray(saved) ? (saved as readonly Json[]) : [];
  const known = new Set(form.keys.flatMap((key) => (key.kind === "value" ? [key.name] : [])));
  const complete = Object.keys(node.values).every((name) => known.has(name));
  if (!complete || saved === undefined || saved === null) {
    return Object.keys(node.values).length === 0 ? saved : writeLayout(node, form.layout ?? form.keys);
  }
  const written = form.keys.map((key, at) => writeOne(node, key, list[at]));
  return Array.isArray(saved) && same(written, list) ? saved : written;
}

function writeOne(node: NodeRecord, key: ValueKey, before: Json | undefined): Json {
  if (key.kind === "extra") return key.value;
  if (key.kind === "value") return node.values[key.name] ?? key.fallback;
  const word = node.controls[key.name] ?? "fixed";
  return before !== undefined && controlWord(before) === word ? before : word;
}

/** The whole list that the definition asks for, with the values that it does not know after it. */
function writeLayout(node: NodeRecord, layout: readonly ValueKey[]): Json {
  const known = new Set(layout.flatMap((key) => (key.kind === "value" ? [key.name] : [])));
  const others = Object.keys(node.values).filter((name) => !known.has(name));
  if (others.length > 0 && layout.length > 0) return { ...node.values };
  return [...layout.map((key) => writeOne(node, key, undefined)), ...others.map((name) => node.values[name] ?? null)];
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
    case "socket":
      return null;
  }
}
