/** Edits of links and reroutes, and removing things. */
import type { Draft } from "immer";
import { passedInput } from "../bypass";
import type { Definitions } from "../definitions";
import {
  type DocumentDraft,
  type Ends,
  type GraphDraft,
  attach,
  detach,
  graphIn,
  incoming,
  linksOfNode,
  nextNumber,
} from "../drafts";
import { dependsOn, graphOf, linksOver, reroutesOf } from "../graphs";
import { typesMatch, whyNot } from "../matching";
import {
  type Document,
  type GraphId,
  type GraphRecord,
  INPUT_SIDE,
  type LinkId,
  type LinkRecord,
  type NodeId,
  type NodeRecord,
  OUTPUT_SIDE,
  type Point,
  type RerouteId,
  type ValueKey,
} from "../types";
import { type Items, dropNode } from "./nodes";

export type { Ends } from "../drafts";

/** The type of an output, or of a published input seen from inside. */
export function outputType(graph: GraphRecord, node: NodeId, slot: number): string | undefined {
  if (node === INPUT_SIDE) return graph.subgraph?.inputs[slot]?.type;
  const type = graph.nodes[node]?.outputs[slot]?.type;
  return graph.nodes[node]?.type === "Reroute" && type !== undefined ? (reroutedType(graph, node) ?? type) : type;
}

/** The type that reaches a reroute node from before it. */
function reroutedType(graph: GraphRecord, start: NodeId): string | undefined {
  const seen = new Set<NodeId>();
  for (let id = start; !seen.has(id); ) {
    seen.add(id);
    const input = graph.nodes[id]?.inputs[0]?.link;
    const link = input == null ? undefined : graph.links[input];
    if (link === undefined) return undefined;
    if (graph.nodes[link.from]?.type !== "Reroute") return outputType(graph, link.from, link.fromSlot);
    id = link.from;
  }
  return undefined;
}

export function inputType(graph: GraphRecord, node: NodeId, slot: number): string | undefined {
  return node === OUTPUT_SIDE ? graph.subgraph?.outputs[slot]?.type : graph.nodes[node]?.inputs[slot]?.type;
}

/** Why a link cannot be made, in words for people; null if it can. */
export function whyNoConnection(document: Document, graphId: GraphId, _definitions: Definitions, ends: Ends): string | null {
  const graph = graphOf(document, graphId);
  if (graph === undefined) return "This graph is gone.";
  const [from, to] = [outputType(graph, ends.from, ends.fromSlot), inputType(graph, ends.to, ends.toSlot)];
  if (from === undefined || to === undefined) return "There is no such socket.";
  if (ends.from === ends.to) return "A node cannot feed itself.";
  const reason = whyNot(from, to);
  if (reason !== null) return reason;
  return dependsOn(graph, ends.from, ends.to) ? "This would close a loop: the output already depends on that node." : null;
}

/** Link an output to an input, in place of what fed it. Null, and nothing changed, if the types do not match or it closes a loop. */
export function connect(draft: DocumentDraft, graphId: GraphId, definitions: Definitions, ends: Ends): LinkId | null {
  const document = draft as Document;
  if (whyNoConnection(document, graphId, definitions, ends) !== null) return null;
  const graph = graphIn(draft, graphId);
  const held = incoming(graph, ends.to, ends.toSlot);
  const before = held === null ? undefined : graph.links[held];
  if (before?.from === ends.from && before.fromSlot === ends.fromSlot) return before.id;
  takeOver(graph, ends);
  const type = outputType(graph as GraphRecord, ends.from, ends.fromSlot) ?? "*";
  return attach(draft, graphId, ends, type);
}

/** A primitive that feeds nothing yet becomes what it is linked to, with the value that stands there. */
function takeOver(graph: GraphDraft, ends: Ends): void {
  const [primitive, target] = [graph.nodes[ends.from], graph.nodes[ends.to]];
  const output = primitive?.outputs[0];
  const input = target?.inputs[ends.toSlot];
  if (primitive?.type !== "PrimitiveNode" || output === undefined || output.links.length > 0 || input?.widget === undefined) return;
  output.type = input.type;
  output.raw = { ...output.raw, widget: { name: input.widget } };
  const value = target?.values[input.widget];
  if (value === undefined) return;
  primitive.values = { value };
  const control = target?.controls[input.widget];
  primitive.controls = control === undefined ? {} : { value: control };
  const keys: ValueKey[] = [{ kind: "value", name: "value", fallback: null }];
  if (control !== undefined) keys.push({ kind: "control", name: "value" });
  primitive.valueForm = { kind: "list", keys: keys as Draft<ValueKey>[] };
}

export function disconnect(draft: DocumentDraft, graphId: GraphId, link: LinkId): void {
  detach(graphIn(draft, graphId), link);
}

export function disconnectInput(draft: DocumentDraft, graphId: GraphId, node: NodeId, slot: number): void {
  const graph = graphIn(draft, graphId);
  const link = incoming(graph, node, slot);
  if (link !== null) detach(graph, link);
}

export function disconnectOutput(draft: DocumentDraft, graphId: GraphId, node: NodeId, slot: number): void {
  const graph = graphIn(draft, graphId);
  for (const link of outgoing(graph, node, slot)) detach(graph, link);
}

function outgoing(graph: GraphDraft, node: NodeId, slot: number): LinkId[] {
  return [...((node === INPUT_SIDE ? graph.subgraph?.inputs[slot]?.links : graph.nodes[node]?.outputs[slot]?.links) ?? [])];
}

/** Let all links of one output leave from another instead, as far as the types match. */
export function moveLinks(
  draft: DocumentDraft,
  graphId: GraphId,
  definitions: Definitions,
  from: { readonly node: NodeId; readonly slot: number },
  to: { readonly node: NodeId; readonly slot: number },
): void {
  const graph = graphIn(draft, graphId);
  for (const id of outgoing(graph, from.node, from.slot)) {
    const link = graph.links[id];
    if (link !== undefined) connect(draft, graphId, definitions, { from: to.node, fromSlot: to.slot, to: link.to, toSlot: link.toSlot });
  }
}

// ---- removing

export interface Removed extends Items {
  readonly links?: Iterable<LinkId>;
}

/**
 * Remove nodes, links, groups and reroutes. With `reconnect` what fed a removed node feeds what it fed, where the types
 * match, as if the node had been bypassed.
 */
export function removeItems(draft: DocumentDraft, graphId: GraphId, items: Removed, options: { readonly reconnect?: boolean } = {}): void {
  const graph = graphIn(draft, graphId);
  for (const id of items.links ?? []) detach(graph, id);
  for (const id of items.reroutes ?? []) removeReroute(draft, graphId, id);
  for (const id of items.nodes ?? []) removeNode(draft, graphId, id, options.reconnect ?? false);
  const groups = new Set(items.groups);
  if (groups.size > 0) graph.groups = graph.groups.filter((group) => !groups.has(group.id));
}

function removeNode(draft: DocumentDraft, graphId: GraphId, id: NodeId, reconnect: boolean): void {
  const graph = graphIn(draft, graphId);
  const node = graph.nodes[id];
  if (node === undefined) return;
  const bridges = reconnect ? bridgesOver(graph, id) : [];
  for (const link of linksOfNode(graph, node)) detach(graph, link);
  dropNode(graph, id);
  for (const { ends, type } of bridges) attach(draft, graphId, ends, type);
}

/** The links that bypass a node: for each link from an output, one from the input that would be passed on. */
function bridgesOver(graph: GraphDraft, id: NodeId): { ends: Ends; type: string }[] {
  const node = graph.nodes[id];
  return (node?.outputs ?? []).flatMap((output, slot) =>
    output.links.flatMap((linkId) => {
      const link = graph.links[linkId];
      const source = link && passedOn(graph, id, slot, link);
      if (link === undefined || source === undefined || source.from === link.to) return [];
      return [{ ends: { from: source.from, fromSlot: source.fromSlot, to: link.to, toSlot: link.toSlot }, type: source.type }];
    }),
  );
}

/** The link that a bypassed node passes on as output `slot` to what `link` leads to. */
function passedOn(graph: GraphDraft, id: NodeId, slot: number, link: LinkRecord): LinkRecord | undefined {
  const node = graph.nodes[id];
  const wanted = inputType(graph as GraphRecord, link.to, link.toSlot) ?? "*";
  const input = node?.inputs[passedInput(node as NodeRecord, slot, wanted)];
  const source = input?.link == null ? undefined : graph.links[input.link];
  return source !== undefined && source.from !== id && typesMatch(source.type, wanted) ? source : undefined;
}

// ---- reroutes

/** Put a reroute on a link, after (towards the input) `after`, or first of all. Returns its id. */
export function addReroute(draft: DocumentDraft, graphId: GraphId, linkId: LinkId, pos: Point, after?: RerouteId | null): RerouteId | null {
  const graph = graphIn(draft, graphId);
  const link = graph.links[linkId];
  if (link === undefined) return null;
  const chain = reroutesOf(graph as GraphRecord, link);
  const before = after !== undefined && after !== null && chain.includes(after) ? after : after === undefined ? (chain.at(-1) ?? null) : null;
  const next = before === null ? chain[0] : chain[chain.indexOf(before) + 1];
  const number = nextNumber(draft, "reroute");
  const id = String(number);
  graph.reroutes[id] = { id, fileId: number, pos: [...pos], parent: before, read: null, raw: {} };
  graph.rerouteOrder.push(id);
  const following = next === undefined ? undefined : graph.reroutes[next];
  if (following !== undefined) following.parent = id;
  else link.parent = id;
  return id;
}

export function moveReroute(draft: DocumentDraft, graphId: GraphId, id: RerouteId, pos: Point): void {
  const reroute = graphIn(draft, graphId).reroutes[id];
  if (reroute !== undefined) reroute.pos = [...pos];
}

/** Remove a reroute; its links run on without it. */
export function removeReroute(draft: DocumentDraft, graphId: GraphId, id: RerouteId): void {
  const graph = graphIn(draft, graphId);
  const reroute = graph.reroutes[id];
  if (reroute === undefined) return;
  for (const one of Object.values(graph.reroutes)) if (one.parent === id) one.parent = reroute.parent;
  for (const link of Object.values(graph.links)) if (link.parent === id) link.parent = reroute.parent;
  delete graph.reroutes[id];
  graph.rerouteOrder = graph.rerouteOrder.filter((one) => one !== id);
}

/** The reroutes that only run between some nodes, which go and come with them. */
export function reroutesBetween(graph: GraphRecord, nodes: ReadonlySet<NodeId>): RerouteId[] {
  return graph.rerouteOrder.filter((id) => {
    const over = linksOver(graph, id);
    return over.length > 0 && over.every((one) => nodes.has(graph.links[one]?.from ?? "") && nodes.has(graph.links[one]?.to ?? ""));
  });
}
