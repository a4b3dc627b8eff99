/** Nodes that are instances of subgraphs: the inputs and values that their definitions give them. */
import { type Definitions, type NodeDefinition, isWidget } from "./definitions";
import { graphOf } from "./graphs";
import { readInstanceValues } from "./instanceValues";
import { definitionOf } from "./instances";
import { same } from "./json";
import { withDefinedInputs, withDefinedOutputs, withoutAdded } from "./slots";
import type { Document, GraphId, GraphRecord, InputSlot, LoadProblem, NodeRecord } from "./types";

/** `document` with its instances as their definitions have them now. The same records where nothing changes. */
export function withInstances(document: Document, definitions: Definitions): Document {
  let changed = false;
  const graphs = Object.fromEntries(
    Object.entries(document.graphs).map(([id, graph]) => {
      const nodes = instancesOf(document, definitions, graph);
      changed ||= nodes !== graph.nodes;
      return [id, nodes === graph.nodes ? graph : { ...graph, nodes }];
    }),
  );
  return changed ? { ...document, graphs } : document;
}

function instancesOf(document: Document, definitions: Definitions, graph: GraphRecord): GraphRecord["nodes"] {
  let nodes = graph.nodes;
  for (const node of Object.values(graph.nodes)) {
    if (!graphOf(document, node.type)?.subgraph) continue;
    const fresh = instance(document, definitions, node, graph.id);
    if (fresh !== node) nodes = { ...nodes, [node.id]: fresh };
  }
  return nodes;
}

function instance(document: Document, definitions: Definitions, node: NodeRecord, graphId: GraphId): NodeRecord {
  const definition = definitionOf(document, definitions, node, graphId);
  const inputs = withDefinedInputs(asDefined(withoutAdded(node.inputs), definition), definition);
  const outputs = withDefinedOutputs(withoutAdded(node.outputs), definition);
  const values = read(document, node);
  const kept = values === null && sameSlots(inputs, node.inputs) && outputs.length === node.outputs.length;
  return kept ? node : Object.freeze({ ...node, inputs, outputs, ...values });
}

/** Values as the file has them, unless a person has changed them since. */
function read(document: Document, node: NodeRecord): Pick<NodeRecord, "values" | "controls" | "valueForm"> | null {
  const form = node.valueForm;
  const before = form.kind === "instance" ? form.read : null;
  if (before === undefined || (before !== null && !same(before.values, node.values))) return null;
  const now = readInstanceValues(document, node.raw);
  if (before !== null && same(before.values, now.values) && same(before.names, now.names)) return null;
  return { values: now.values, controls: {}, valueForm: { kind: "instance", read: now } };
}

/** The inputs that an instance lists, as widgets where the definition leads to one: what they are marked as does not count. */
function asDefined(slots: readonly InputSlot[], definition: NodeDefinition | undefined): readonly InputSlot[] {
  return slots.map((slot) => {
    const declared = definition?.inputs.find((one) => one.name === slot.name);
    const widget = declared && isWidget(declared) ? slot.name : undefined;
    if (declared === undefined || slot.widget === widget) return slot;
    const { widget: _, ...rest } = slot;
    return widget === undefined ? rest : { ...rest, widget };
  });
}

function sameSlots(a: readonly InputSlot[], b: readonly InputSlot[]): boolean {
  return a.length === b.length && a.every((one, at) => one.name === b[at]?.name && one.widget === b[at].widget);
}

/** Links into instances that lead nowhere: inputs are known by their names alone. */
export function instanceProblems(document: Document): LoadProblem[] {
  return Object.values(document.graphs).flatMap((graph) =>
    Object.values(graph.nodes).flatMap((node) => {
      const info = graphOf(document, node.type)?.subgraph;
      if (!info) return [];
      const names = new Set(info.inputs.map((one) => one.name));
      const lost = node.inputs.filter((slot) => slot.link !== null && !names.has(slot.name));
      return lost.map((slot) => ({ message: `The subgraph ${info.name} has no input ${slot.name}: what is linked to it there does nothing.`, graph: graph.id, node: node.id }));
    }),
  );
}
