/** Drafts of immer, and the smallest changes to them. Every edit is made of these, so that links stay told at both ends. */
import type { Draft } from "immer";
import {
  type Document,
  type GraphId,
  type GraphRecord,
  INPUT_SIDE,
  type InputSlot,
  type LinkId,
  type LinkRecord,
  type NodeId,
  type NodeRecord,
  OUTPUT_SIDE,
} from "./types";

export type DocumentDraft = Draft<Document>;
export type GraphDraft = Draft<GraphRecord>;
export type NodeDraft = Draft<NodeRecord>;

export function graphIn(draft: DocumentDraft, graphId: GraphId): GraphDraft {
  const graph = Object.hasOwn(draft.graphs, graphId) ? draft.graphs[graphId] : undefined;
  if (graph === undefined) throw new Error(`There is no graph ${graphId}.`);
  return graph;
}

/** The nodes with these ids; ids that do not exist are passed over. */
export function nodesIn(graph: GraphDraft, ids: Iterable<NodeId>): NodeDraft[] {
  return [...ids].flatMap((id) => graph.nodes[id] ?? []);
}

/** A number that no node, link… of the document had before. */
export function nextNumber(draft: DocumentDraft, kind: keyof Document["counters"]): number {
  const number = draft.counters[kind] + 1;
  draft.counters[kind] = number;
  return number;
}

export interface Ends {
  readonly from: NodeId;
  readonly fromSlot: number;
  readonly to: NodeId;
  readonly toSlot: number;
}

/** Add a link between ends that exist. What fed the input before goes. Types and rings are the matter of `connect`. */
export function attach(draft: DocumentDraft, graphId: GraphId, ends: Ends, type: string): LinkId {
  const graph = graphIn(draft, graphId);
  const before = incoming(graph, ends.to, ends.toSlot);
  if (before !== null) detach(graph, before);
  const number = nextNumber(draft, "link");
  const id = String(number);
  graph.links[id] = { id, fileId: number, ...ends, type, parent: null, raw: null };
  graph.linkOrder.push(id);
  tellEnds(graph, graph.links[id]);
  return id;
}

/** Write a link into the slots at its ends. */
export function tellEnds(graph: GraphDraft, link: Draft<LinkRecord>): void {
  const output = link.from === INPUT_SIDE ? graph.subgraph?.inputs[link.fromSlot] : graph.nodes[link.from]?.outputs[link.fromSlot];
  if (output !== undefined && !output.links.includes(link.id)) output.links.push(link.id);
  if (link.to === OUTPUT_SIDE) {
    const published = graph.subgraph?.outputs[link.toSlot];
    if (published !== undefined && !published.links.includes(link.id)) published.links.push(link.id);
    return;
  }
  const input = graph.nodes[link.to]?.inputs[link.toSlot];
  if (input === undefined) return;
  input.link = link.id;
  delete input.dangling;
}

/** Remove a link, and the reroutes that only it ran over. */
export function detach(graph: GraphDraft, id: LinkId): void {
  const link = graph.links[id];
  if (link === undefined) return;
  const input = graph.nodes[link.to]?.inputs[link.toSlot];
  if (input?.link === id) input.link = null;
  const without = (slot: { links: LinkId[] } | undefined): void => {
    if (slot !== undefined) slot.links = slot.links.filter((one) => one !== id);
  };
  without(graph.nodes[link.from]?.outputs[link.fromSlot]);
  if (link.from === INPUT_SIDE) without(graph.subgraph?.inputs[link.fromSlot]);
  if (link.to === OUTPUT_SIDE) without(graph.subgraph?.outputs[link.toSlot]);
  const { parent } = link;
  delete graph.links[id];
  graph.linkOrder = graph.linkOrder.filter((one) => one !== id);
  if (parent !== null) dropUnusedReroutes(graph, parent);
}

/** Remove a reroute and those before it, as far as nothing runs over them any more. */
function dropUnusedReroutes(graph: GraphDraft, start: string): void {
  for (let at: string | null = start; at !== null; ) {
    const id: string = at;
    const used =
      Object.values(graph.links).some((link) => link.parent === id) ||
      Object.values(graph.reroutes).some((one) => one.parent === id) ||
      graph.reroutes[id]?.raw["floating"] !== undefined;
    if (used) return;
    at = graph.reroutes[id]?.parent ?? null;
    delete graph.reroutes[id];
    graph.rerouteOrder = graph.rerouteOrder.filter((one) => one !== id);
  }
}

/** The link into an input, or into a published output. */
export function incoming(graph: GraphDraft, node: NodeId, slot: number): LinkId | null {
  if (node === OUTPUT_SIDE) {
    return Object.values(graph.links).find((link) => link.to === OUTPUT_SIDE && link.toSlot === slot)?.id ?? null;
  }
  return graph.nodes[node]?.inputs[slot]?.link ?? null;
}

/** All links at one node. */
export function linksOfNode(graph: GraphDraft, node: NodeDraft): LinkId[] {
  const into = node.inputs.flatMap((slot: Draft<InputSlot>) => slot.link ?? []);
  return [...new Set([...into, ...node.outputs.flatMap((slot) => slot.links)])].filter((id) => id in graph.links);
}
