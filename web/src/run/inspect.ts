/** Which output of which node of the prompt a link's value comes from. */
import { INPUT_SIDE, MODE_BYPASSED, MODE_MUTED, OUTPUT_SIDE, type Document, type GraphRecord, type LinkRecord, type NodeRecord, type Scope } from "@/graph/types";
import { ROOT } from "@/graph/types";

export interface LinkSource {
  /** Id in the prompt form. */
  node: string;
  slot: number;
}

/** A link has passed more nodes than this only in a broken file. */
const MOST_STEPS = 1000;

interface Place {
  graph: GraphRecord;
  path: readonly string[];
  node: string;
  slot: number;
}

/** Follows a link back over reroutes, bypassed nodes and the borders of subgraphs; null when nothing computes its value. */
export function linkSource(document: Document, scope: Scope, linkId: string): LinkSource | null {
  const graph = document.graphs[scope.graphId];
  const link = graph?.links[linkId];
  if (!graph || !link) return null;
  return outputSource(document, scope, link.from, link.fromSlot);
}

/** The same for an output of a node that is shown. */
export function outputSource(document: Document, scope: Scope, node: string, slot: number): LinkSource | null {
  const graph = document.graphs[scope.graphId];
  let place: Place | null = graph ? { graph, path: scope.path, node, slot } : null;
  for (let steps = 0; place !== null && steps < MOST_STEPS; steps++) {
    const record: NodeRecord | undefined = place.graph.nodes[place.node];
    if (place.node === INPUT_SIDE) place = above(document, place);
    else if (!record) return null;
    else if (record.mode === MODE_MUTED) return null;
    else if (record.mode === MODE_BYPASSED) place = throughBypass(place, record);
    else if (record.type === "Reroute") place = throughInput(place, record, 0);
    else if (document.graphs[record.type] && record.type !== ROOT) place = inside(document, place, record);
    else if (record.type === "PrimitiveNode") return null;
    else return { node: [...place.path, place.node].join(":"), slot: place.slot };
  }
  return null;
}

function linkInto(graph: GraphRecord, record: NodeRecord, input: number): LinkRecord | undefined {
  const id = record.inputs[input]?.link;
  return id ? graph.links[id] : undefined;
}

function throughInput(place: Place, record: NodeRecord, input: number): Place | null {
  const link = linkInto(place.graph, record, input);
  return link ? { ...place, node: link.from, slot: link.fromSlot } : null;
}

/** A bypassed node passes on the input at the same position if it has the same type, else the first of that type. */
function throughBypass(place: Place, record: NodeRecord): Place | null {
  const type = record.outputs[place.slot]?.type;
  const fits = (index: number) => record.inputs[index]?.type === type && Boolean(record.inputs[index]?.link);
  const input = fits(place.slot) ? place.slot : record.inputs.findIndex((_, index) => fits(index));
  return input < 0 ? null : throughInput(place, record, input);
}

/** Into a subgraph: the link that ends at its output side. */
function inside(document: Document, place: Place, record: NodeRecord): Place | null {
  const graph = document.graphs[record.type];
  if (!graph) return null;
  const link = Object.values(graph.links).find(({ to, toSlot }) => to === OUTPUT_SIDE && toSlot === place.slot);
  return link ? { graph, path: [...place.path, place.node], node: link.from, slot: link.fromSlot } : null;
}

/** Out of a subgraph: what is linked to the same input of the instance. */
function above(document: Document, place: Place): Place | null {
  const instance = place.path.at(-1);
  const path = place.path.slice(0, -1);
  const graph = instance === undefined ? undefined : graphAt(document, path);
  const record = graph?.nodes[instance ?? ""];
  const name = place.graph.subgraph?.inputs[place.slot]?.name;
  if (!graph || !record) return null;
  const byName = record.inputs.findIndex((input) => input.name === name);
  const link = linkInto(graph, record, byName < 0 ? place.slot : byName);
  return link ? { graph, path, node: link.from, slot: link.fromSlot } : null;
}

function graphAt(document: Document, path: readonly string[]): GraphRecord | undefined {
  let graph = document.graphs[ROOT];
  for (const id of path) graph = document.graphs[graph?.nodes[id]?.type ?? ""];
  return graph;
}
