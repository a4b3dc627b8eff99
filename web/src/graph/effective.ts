/**
 * What an input really runs with, and where that is set: a widget may be fed by the instance around it, by a primitive, or
 * over reroutes and bypassed nodes. Followed by the rules of the server (engine/graph/workflow.py), so that what is shown
 * is what runs.
 */
import { passedInput } from "./bypass";
import { type Definitions, type InputDefinition, inputOf } from "./definitions";
import { graphOf, linkInto, nodesOf } from "./graphs";
import { ownProxies, proxyName, widgetNames } from "./instanceValues";
import { definitionOf } from "./instances";
import { resolvePath } from "./scope";
import { type Document, type GraphRecord, INPUT_SIDE, type Json, type LinkRecord, MODE_BYPASSED, MODE_MUTED, type NodeId, type NodeRecord, OUTPUT_SIDE } from "./types";
import { defaultValue } from "./values";
import { tidy, widgetValue } from "./widgets";

/** A value and the widget on which a person sets it. */
export interface Effective {
  readonly value: Json;
  readonly path: readonly NodeId[];
  readonly node: NodeId;
  readonly name: string;
}

/** `computed`: a node that runs makes it; `nothing`: what is linked gives nothing. */
export type Source = Effective | "computed" | "nothing";

interface World {
  readonly document: Document;
  readonly definitions: Definitions;
}

/** What is looked for on the way back along links. */
interface Search {
  /** The type that is asked for at the far end, which decides what a bypassed node passes on. */
  readonly asked: string;
  /** The widget at the far end, as long as nothing was followed through: only so a primitive gives its value. */
  readonly direct: InputDefinition | null;
  readonly steps: number;
}

/** Links followed before it must be a ring. */
const MOST = 1000;

/** What the input or widget `name` of a node runs with, seen from inside the instances `path`. */
export function effective(world: World, path: readonly NodeId[], id: NodeId, name: string): Source {
  const graph = graphAt(world, path);
  const node = graph?.nodes[id];
  if (graph === undefined || node === undefined) return "nothing";
  const link = linkTo(graph, node, name);
  if (link === undefined) return own(world, path, graph, node, name);
  const slot = node.inputs[link.toSlot];
  const input = inputOf(definitionOf(world.document, world.definitions, node, graph.id), name);
  const instance = graphOf(world.document, node.type)?.subgraph != null;
  const direct = input === undefined || input.kind === "socket" || instance ? null : input;
  const found = origin(world, path, link, { asked: slot?.type ?? "*", direct, steps: MOST });
  // A widget whose link gives nothing keeps its own value; that of a subgraph the one inside.
  if (found !== "nothing" || slot?.widget === undefined) return found;
  return instance && input !== undefined ? { value: defaultValue(input), path, node: id, name } : own(world, path, graph, node, name);
}

/** The link into an input; of several inputs of one name, into that which has one. */
function linkTo(graph: GraphRecord, node: NodeRecord, name: string): LinkRecord | undefined {
  const at = node.inputs.findIndex((slot) => slot.link !== null && (slot.widget ?? slot.name) === name);
  return at < 0 ? undefined : linkInto(graph, node.id, at);
}

/** The value on the node itself, or what an instance around it says against it. */
function own(world: World, path: readonly NodeId[], graph: GraphRecord, node: NodeRecord, name: string): Source {
  const over = overridden(world, path, node, name);
  if (over !== null) return over;
  const input = inputOf(definitionOf(world.document, world.definitions, node, graph.id), name);
  if (input === undefined) {
    const value = node.values[name];
    return value === undefined ? "nothing" : { value, path, node: node.id, name };
  }
  return input.kind === "socket" ? "nothing" : { value: widgetValue(node, input), path, node: node.id, name };
}

/** What the instance around a node says of one of its widgets, if it shows that. */
function overridden(world: World, path: readonly NodeId[], node: NodeRecord, name: string): Effective | null {
  const [outer, around] = [path.slice(0, -1), path.at(-1)];
  const graph = around === undefined ? undefined : graphAt(world, outer);
  const instance = graph?.nodes[around ?? ""];
  if (graph === undefined || instance === undefined) return null;
  const inside = graphOf(world.document, instance.type);
  const shown = ownProxies(inside, instance.properties, widgetNames(world.document, instance.type)).some((one) => one[0] === node.id && one[1] === name);
  const key = proxyName(inside, node.id, name);
  if (!shown || instance.values[key] === undefined) return null;
  const found = own(world, outer, graph, instance, key);
  return typeof found === "string" ? null : found;
}

function origin(world: World, path: readonly NodeId[], link: LinkRecord, search: Search): Source {
  const graph = graphAt(world, path);
  if (search.steps <= 0 || graph === undefined) return "nothing";
  const further: Search = { ...search, direct: null, steps: search.steps - 1 };
  if (link.from === INPUT_SIDE) return outside(world, path, graph, link.fromSlot, further);
  const node = graph.nodes[link.from];
  if (node === undefined) return "nothing";
  if (node.type === "PrimitiveNode") return search.direct === null ? "nothing" : primitive(world, path, graph, node, search.direct);
  if (node.mode === MODE_MUTED) return "nothing";
  const before = (from: NodeRecord, at: number): Source => {
    const next = at < 0 ? undefined : linkInto(graph, from.id, at);
    return next === undefined ? "nothing" : origin(world, path, next, further);
  };
  if (REROUTES.has(node.type)) return before(node, 0);
  if (node.type === "GetNode") {
    const sender = senderOf(graph, node);
    return sender === undefined ? "nothing" : before(sender, 0);
  }
  if (node.mode === MODE_BYPASSED) {
    return before(node, passedInput(node, link.fromSlot, search.asked, definitionOf(world.document, world.definitions, node, graph.id)));
  }
  const inside = graphOf(world.document, node.type);
  if (!inside?.subgraph) return "computed";
  const result = Object.values(inside.links).find((one) => one.to === OUTPUT_SIDE && one.toSlot === link.fromSlot);
  return result === undefined ? "nothing" : origin(world, [...path, node.id], result, further);
}

const REROUTES: ReadonlySet<string> = new Set(["Reroute", "Reroute (rgthree)", "SetNode"]);

/** A primitive gives its value also when it is muted or bypassed, as the widget takes it: on its step, within its range. */
function primitive(world: World, path: readonly NodeId[], graph: GraphRecord, node: NodeRecord, taking: InputDefinition): Source {
  const found = own(world, path, graph, node, "value");
  if (typeof found === "string" || found.value === null) return "nothing";
  return typeof found.value === "number" ? { ...found, value: taken(taking, found.value) } : found;
}

function taken(input: InputDefinition, value: number): number {
  const whole = input.kind === "int";
  if (!whole && input.kind !== "float") return value;
  const step = whole ? (input.step ?? 1) : (input.round ?? 0);
  const shift = whole ? (input.min ?? 0) % step : 0;
  const rounded = step > 0 ? tidy(Math.round((value - shift) / step) * step + shift) : value;
  return Math.min(Math.max(rounded, input.min ?? -Infinity), input.max ?? Infinity);
}

/** What feeds the input of the instance around, by its name, or the value of the widget that it is. */
function outside(world: World, path: readonly NodeId[], graph: GraphRecord, slot: number, search: Search): Source {
  const [outer, around] = [path.slice(0, -1), path.at(-1)];
  const name = graph.subgraph?.inputs[slot]?.name;
  const outerGraph = graphAt(world, outer);
  const instance = outerGraph?.nodes[around ?? ""];
  if (name === undefined || outerGraph === undefined || instance === undefined) return "nothing";
  const link = linkTo(outerGraph, instance, name);
  return link === undefined ? own(world, outer, outerGraph, instance, name) : origin(world, outer, link, search);
}

function senderOf(graph: GraphRecord, getter: NodeRecord): NodeRecord | undefined {
  const nameOf = (node: NodeRecord): Json | undefined => {
    const values = node.raw["widgets_values"];
    return Array.isArray(values) ? (values as readonly Json[])[0] : undefined;
  };
  const name = nameOf(getter);
  return name === undefined ? undefined : nodesOf(graph).find((node) => node.type === "SetNode" && nameOf(node) === name);
}

function graphAt(world: World, path: readonly NodeId[]): GraphRecord | undefined {
  const scope = resolvePath(world.document, path);
  return scope === null ? undefined : graphOf(world.document, scope.graphId);
}
