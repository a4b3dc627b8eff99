/**
 * Values of instances of subgraphs, by the rules of the field (and of the server, engine/graph/subgraphs.py).
 *
 * A file holds one value for each input of the *definition* that leads to a widget inside, in the definition's order,
 * whatever the instance lists itself. Where the instance names widgets (`properties.proxyWidgets`), the value at the same
 * place of the list is theirs, also against the first rule. A value of null, or none, leaves what is set inside.
 */
import { graphOf, linksFrom } from "./graphs";
import { isObject, same } from "./json";
import { type Document, type GraphId, type GraphRecord, INPUT_SIDE, type Json, type JsonObject, type NodeId, type NodeRecord } from "./types";
import { type Written, namedValues, numbered } from "./values";

/** The names of the inputs of a subgraph that lead to a widget inside, in their order: what an instance has values for. */
export function widgetNames(document: Document, graphId: GraphId): string[] {
  const inputs = graphOf(document, graphId)?.subgraph?.inputs ?? [];
  return inputs.filter((_, index) => leadsToWidget(document, graphId, index, new Set())).map((one) => one.name);
}

function leadsToWidget(document: Document, graphId: GraphId, index: number, seen: ReadonlySet<GraphId>): boolean {
  const graph = graphOf(document, graphId);
  if (graph === undefined || seen.has(graphId)) return false;
  const around = new Set([...seen, graphId]);
  return linksFrom(graph, INPUT_SIDE, index).some(({ to, toSlot }) => {
    const target = graph.nodes[to];
    const slot = target?.inputs[toSlot];
    if (target === undefined || slot === undefined) return false;
    const inputs = graphOf(document, target.type)?.subgraph?.inputs;
    if (inputs === undefined) return slot.widget !== undefined;
    const inner = inputs.findIndex((one) => one.name === slot.name);
    return inner >= 0 && leadsToWidget(document, target.type, inner, around);
  });
}

/** `[inner node, widget]` for each inner widget that an instance shows; inner "-1" is an input of the instance itself. */
export function proxyWidgets(properties: JsonObject): (readonly [inner: NodeId, widget: string] | null)[] {
  const proxies = properties["proxyWidgets"];
  if (!Array.isArray(proxies)) return [];
  return (proxies as readonly Json[]).map((one) => {
    const pair = Array.isArray(one) ? (one as readonly Json[]) : [];
    return pair.length < 2 ? null : ([String(pair[0]), String(pair[1])] as const);
  });
}

/** The name under which an instance holds the value of a widget inside: that of its input if one feeds it. */
export function proxyName(inside: GraphRecord | undefined, inner: NodeId, widget: string): string {
  if (inner === "-1") return widget;
  const slot = inside?.nodes[inner]?.inputs.find((one) => (one.widget ?? one.name) === widget);
  const link = slot?.link == null ? undefined : inside?.links[slot.link];
  const fed = link?.from === INPUT_SIDE ? inside?.subgraph?.inputs[link.fromSlot]?.name : undefined;
  return fed ?? `${inner}:${widget}`;
}

export interface InstanceValues {
  readonly values: Readonly<Record<string, Json>>;
  readonly names: readonly string[];
}

export function readInstanceValues(document: Document, raw: JsonObject): InstanceValues {
  const type = String(raw["type"]);
  const inside = graphOf(document, type);
  const names = widgetNames(document, type);
  const proxies = proxyWidgets(isObject(raw["properties"]) ? raw["properties"] : {});
  const list = raw["widgets_values"];
  const values: Record<string, Json> = {};
  const put = (name: string | undefined, value: Json | undefined): void => {
    if (name !== undefined && value !== undefined && value !== null) values[name] = value;
  };
  if (!Array.isArray(list)) {
    for (const [name, value] of Object.entries(isObject(list) ? list : (namedValues(raw) ?? {}))) if (names.includes(name)) put(name, value);
    return { values, names };
  }
  (list as readonly Json[]).forEach((value, at) => put(names[at], value));
  proxies.forEach((proxy, at) => put(proxy === null ? undefined : proxyName(inside, ...proxy), (list as readonly Json[])[at]));
  return { values, names };
}

/** What is written for an instance: as the file had it if it says the same, else a list that both rules read alike. */
export function writeInstanceValues(document: Document, node: NodeRecord): Written & { readonly properties: JsonObject } {
  const { raw, values, properties } = node;
  const names = widgetNames(document, node.type);
  const read = node.valueForm.kind === "instance" ? node.valueForm.read : undefined;
  const before = { values: raw["widgets_values"], named: raw["widgets_values_named"], properties };
  const untouched = same(isObject(raw["properties"]) ? raw["properties"]["proxyWidgets"] : undefined, properties["proxyWidgets"]);
  if (read !== undefined && untouched && same(read.values, values) && same(read.names, names)) return before;
  const inside = graphOf(document, node.type);
  const others = ownProxies(inside, properties, names);
  const held = [...names, ...others.map(([inner, widget]) => proxyName(inside, inner, widget))];
  const known = held.map((name, at) => values[name] ?? valueInside(document, inside, name, others[at - names.length]));
  const last = others.length > 0 ? held.length : held.findLastIndex((name) => values[name] !== undefined) + 1;
  if (last === 0 && before.values === undefined && before.named === undefined) return { ...before, properties: withProxies(properties, names, others) };
  const counts = new Map<string, number>();
  const keys = [...names, ...others.map(([, widget]) => widget)].map((name) => {
    const count = counts.get(name) ?? 0;
    counts.set(name, count + 1);
    return numbered(name, count);
  });
  const named = Object.fromEntries(keys.slice(0, last).map((key, at) => [key, known[at] ?? null]));
  return {
    values: known.slice(0, last),
    named: isObject(before.named) || raw["id"] === undefined ? named : before.named,
    properties: withProxies(properties, names, others),
  };
}

/** The shown widgets of nodes inside that no input of the subgraph feeds. */
export function ownProxies(inside: GraphRecord | undefined, properties: JsonObject, names: readonly string[]): (readonly [NodeId, string])[] {
  return proxyWidgets(properties).filter((one): one is readonly [NodeId, string] => one !== null && one[0] !== "-1" && !names.includes(proxyName(inside, ...one)));
}

function withProxies(properties: JsonObject, names: readonly string[], others: readonly (readonly [NodeId, string])[]): JsonObject {
  if (properties["proxyWidgets"] === undefined) return properties;
  return { ...properties, proxyWidgets: [...names.map((name) => ["-1", name]), ...others.map((one) => [...one])] };
}

/** What is set inside for a value that the instance has none for. */
function valueInside(document: Document, inside: GraphRecord | undefined, name: string, proxy: readonly [NodeId, string] | undefined): Json {
  if (inside === undefined) return null;
  if (proxy !== undefined) return inside.nodes[proxy[0]]?.values[proxy[1]] ?? null;
  const index = inside.subgraph?.inputs.findIndex((one) => one.name === name) ?? -1;
  for (const { to, toSlot } of linksFrom(inside, INPUT_SIDE, index)) {
    const target = inside.nodes[to];
    const slot = target?.inputs[toSlot];
    const value = target?.values[slot?.widget ?? slot?.name ?? ""];
    if (value !== undefined && value !== null) return value;
    const nested = graphOf(document, target?.type ?? "");
    if (nested?.subgraph && slot !== undefined) return valueInside(document, nested, slot.name, undefined);
  }
  return null;
}
