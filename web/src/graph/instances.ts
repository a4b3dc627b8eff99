/** Definitions of nodes that depend on where they stand: instances of subgraphs, and primitives. */
import { type Definitions, type InputDefinition, type NodeDefinition, VIRTUAL, inputOf, kindOfType } from "./definitions";
import { shapeOf } from "./dynamic";
import { graphOf, linksFrom } from "./graphs";
import { ownProxies, proxyName, widgetNames } from "./instanceValues";
import { isObject } from "./json";
import { type Document, type GraphId, type GraphRecord, INPUT_SIDE, type NodeId, type NodeRecord, ROOT } from "./types";

/** What a node looks like: its class, its subgraph, or what it is linked to. Undefined if its type is missing. */
export function definitionOf(
  document: Document,
  definitions: Definitions,
  node: NodeRecord,
  graphId: GraphId = ROOT,
): NodeDefinition | undefined {
  const inside = graphOf(document, node.type);
  if (inside?.subgraph) return instanceDefinition(document, definitions, node, inside);
  if (node.type === "PrimitiveNode") return primitiveDefinition(document, definitions, node, graphId);
  const definition = definitions.get(node.type);
  return definition && shapeOf(node, definition);
}

interface Remembered {
  readonly parts: readonly unknown[];
  readonly definition: NodeDefinition;
}

/** Definitions made for nodes, so that equal parts give the same object again. */
const made = new WeakMap<NodeRecord, Remembered>();

function remember(node: NodeRecord, parts: readonly unknown[], make: () => NodeDefinition): NodeDefinition {
  if (!Object.isFrozen(node)) return make();
  const held = made.get(node);
  if (held !== undefined && held.parts.every((part, at) => part === parts[at])) return held.definition;
  const definition = make();
  made.set(node, { parts, definition });
  return definition;
}

// ---- subgraphs

function instanceDefinition(
  document: Document,
  definitions: Definitions,
  node: NodeRecord,
  inside: GraphRecord,
): NodeDefinition {
  return remember(node, [inside, definitions], () => {
    const info = inside.subgraph;
    const names = widgetNames(document, inside.id);
    const inputs = (info?.inputs ?? []).map((slot, index): InputDefinition => {
      const shown = innerInput(document, definitions, inside, index) ?? { ...socket(slot.name, slot.type), default: null };
      const kind = !names.includes(slot.name) ? "socket" : shown.kind === "socket" ? kindOfType(slot.type) : shown.kind;
      return { ...shown, name: slot.name, type: slot.type, label: slot.label ?? shown.label, kind, required: false };
    });
    const proxied = ownProxies(inside, node.properties, names).map(([inner, widget]) => proxyInput(document, definitions, inside, inner, widget));
    return {
      type: node.type,
      title: info?.name ?? "Subgraph",
      category: "subgraphs",
      doc: descriptionOf(inside),
      inputs: [...inputs, ...proxied],
      outputs: (info?.outputs ?? []).map((slot) => ({ name: slot.label ?? slot.name, type: slot.type, isList: false })),
      outputNode: false,
      deprecated: false,
      experimental: false,
      virtual: true,
      alias: false,
      module: "",
      isInputList: false,
      raw: {},
    };
  });
}

function descriptionOf(inside: GraphRecord): string {
  const extra = inside.raw["extra"];
  const doc = inside.raw["description"] ?? (isObject(extra) ? extra["BlueprintDescription"] : undefined);
  return typeof doc === "string" ? doc : "";
}

/** The definition of the widget inside that published input `index` feeds first, with what is set there as its default. */
function innerInput(
  document: Document,
  definitions: Definitions,
  inside: GraphRecord,
  index: number,
): InputDefinition | undefined {
  for (const link of linksFrom(inside, INPUT_SIDE, index)) {
    const target = inside.nodes[link.to];
    const slot = target?.inputs[link.toSlot];
    if (target === undefined || slot === undefined) continue;
    const found = inputOf(definitionOf(document, definitions, target, inside.id), slot.widget ?? slot.name);
    if (found === undefined || found.kind === "socket") continue;
    const value = target.values[found.name];
    return value === undefined ? found : { ...found, default: value };
  }
  return undefined;
}

function proxyInput(
  document: Document,
  definitions: Definitions,
  inside: GraphRecord,
  inner: NodeId,
  widget: string,
): InputDefinition {
  const target = inside.nodes[inner];
  const declared = target && inputOf(definitionOf(document, definitions, target, inside.id), widget);
  const found = declared ?? { ...socket(widget, "STRING"), kind: "string" as const };
  const value = target?.values[widget];
  return {
    ...found,
    name: proxyName(inside, inner, widget),
    label: found.label ?? widget,
    required: false,
    ...(value === undefined ? {} : { default: value }),
  };
}

function socket(name: string, type: string): InputDefinition {
  return { name, type, kind: "socket", required: false, seed: false, forceInput: false, options: {} };
}

// ---- primitives

/** A primitive takes the kind of widget of the first input that it feeds. */
function primitiveDefinition(
  document: Document,
  definitions: Definitions,
  node: NodeRecord,
  graphId: GraphId,
): NodeDefinition | undefined {
  const base = definitions.get(node.type) ?? VIRTUAL.get(node.type);
  const graph = graphOf(document, graphId);
  const link = graph && linksFrom(graph, node.id, 0)[0];
  const target = link && graph.nodes[link.to];
  const slot = target?.inputs[link?.toSlot ?? 0];
  if (base === undefined || target === undefined || slot === undefined) return base;
  return remember(node, [target, definitions], () => {
    const name = slot.widget ?? slot.name;
    const fed = inputOf(definitionOf(document, definitions, target, graphId), name);
    if (fed === undefined || fed.kind === "socket") return base;
    const value: InputDefinition = { ...fed, name: "value", label: fed.label ?? name, seed: fed.seed || fed.kind === "int" };
    return { ...base, inputs: [value], outputs: [{ name: "connect to widget input", type: fed.type, isList: false }] };
  });
}
