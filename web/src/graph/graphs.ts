/** Small questions about one graph. */
import type { Document, GraphId, GraphRecord, LinkId, LinkRecord, NodeId, NodeRecord, RerouteId } from "./types";

export function graphOf(document: Document, graphId: GraphId): GraphRecord | undefined {
  return Object.hasOwn(document.graphs, graphId) ? document.graphs[graphId] : undefined;
}

/** The nodes of a graph in drawing order. */
export function nodesOf(graph: GraphRecord): NodeRecord[] {
  return graph.nodeOrder.flatMap((id) => graph.nodes[id] ?? []);
}

export function linksOf(graph: GraphRecord): LinkRecord[] {
  return graph.linkOrder.flatMap((id) => graph.links[id] ?? []);
}

/** The link that feeds an input; undefined if none does. */
export function linkInto(graph: GraphRecord, node: NodeId, slot: number): LinkRecord | undefined {
  const id = graph.nodes[node]?.inputs[slot]?.link;
  return id === null || id === undefined ? undefined : graph.links[id];
}

/** Links that leave an output, or the inner side of a published input. */
export function linksFrom(graph: GraphRecord, node: NodeId, slot: number): LinkRecord[] {
  const ids = graph.nodes[node]?.outputs[slot]?.links;
  if (ids !== undefined) return ids.flatMap((id) => graph.links[id] ?? []);
  return linksOf(graph).filter((link) => link.from === node && link.fromSlot === slot);
}

/** Links with an end at one of `nodes`. */
export function linksAt(graph: GraphRecord, nodes: ReadonlySet<NodeId>): LinkRecord[] {
  return linksOf(graph).filter((link) => nodes.has(link.from) || nodes.has(link.to));
}

/** The reroutes of a link from its output to its input. */
export function reroutesOf(graph: GraphRecord, link: LinkRecord): RerouteId[] {
  const chain: RerouteId[] = [];
  for (let at = link.parent; at !== null && !chain.includes(at); at = graph.reroutes[at]?.parent ?? null) chain.push(at);
  return chain.reverse();
}

/** Links that run over a reroute. */
export function linksOver(graph: GraphRecord, reroute: RerouteId): LinkId[] {
  return linksOf(graph).filter((link) => reroutesOf(graph, link).includes(reroute)).map((link) => link.id);
}

/** Whether the value of `from` depends on `to`, so that a link from `from` to `to` would close a ring. */
export function dependsOn(graph: GraphRecord, from: NodeId, to: NodeId): boolean {
  const waiting = [from];
  const seen = new Set(waiting);
  for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) {
    if (id === to) return true;
    for (const slot of graph.nodes[id]?.inputs ?? []) {
      const origin = slot.link === null ? undefined : graph.links[slot.link]?.from;
      if (origin === undefined || seen.has(origin)) continue;
      seen.add(origin);
      waiting.push(origin);
    }
  }
  return false;
}
