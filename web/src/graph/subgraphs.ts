/** Subgraphs: making one of a selection, taking one apart, and what an instance shows. */
import { usedGraphs } from "./clipboard";
import type { Definitions } from "./definitions";
import { type DocumentDraft, type GraphDraft, type NodeDraft, attach, detach, graphIn, incoming, nextNumber, tellEnds } from "./drafts";
import { type Items, dropNode, newNode } from "./edits/nodes";
import { copyOf, pasteReroutes } from "./edits/paste";
import { inputType, outputType, removeReroute, reroutesBetween } from "./edits/links";
import { bounds } from "./geometry";
import { graphOf, linksOf, linksOver } from "./graphs";
import { proxyName, proxyWidgets, widgetNames } from "./instanceValues";
import { definitionOf } from "./instances";
import { TITLE_HEIGHT, nodeBox } from "./layout";
import { remapParameters } from "./parameters";
import {
  type Box,
  type Document,
  type GraphId,
  type GraphRecord,
  INPUT_SIDE,
  type Json,
  type LinkRecord,
  type NodeId,
  type NodeRecord,
  OUTPUT_SIDE,
  type PublishedSlot,
  type RerouteId,
} from "./types";

export { breadcrumbs, resolvePath, resolvePath as resolveScope } from "./scope";

const SIDE_WIDTH = 120;
const SIDE_GAP = 80;
const SIDE_ROW = 20;

/** Put nodes into a new subgraph, with an instance of it in their place. Returns the instance's id. */
export function toSubgraph(
  draft: DocumentDraft,
  graphId: GraphId,
  definitions: Definitions,
  items: Items,
  name = "New Subgraph",
): NodeId | null {
  const outer = graphIn(draft, graphId);
  const moved = new Set([...(items.nodes ?? [])].filter((id) => id in outer.nodes));
  if (moved.size === 0) return null;
  const instance = String(nextNumber(draft, "node"));
  remapParameters(draft, (path) => insideInstance(draft as Document, path, graphId, moved, instance));
  const inner = newGraph(uuid(), name, boxOf(draft, graphId, definitions, moved));
  const border = cutBorder(outer, moved);
  moveContents(outer, inner, moved, items);
  draft.graphs[inner.id] = inner;
  draft.subgraphOrder.push(inner.id);
  const fed = publishBorder(draft, inner, border);
  placeInstance(draft, graphId, definitions, { id: instance, inner, fed });
  return instance;
}

/** A path of ids as it reads once `moved` stand inside `instance`. */
function insideInstance(document: Document, path: readonly NodeId[], graphId: GraphId, moved: ReadonlySet<NodeId>, instance: NodeId): NodeId[] {
  let at: GraphId | undefined = "root";
  const result: NodeId[] = [];
  for (const id of path) {
    if (at === graphId && moved.has(id)) result.push(instance);
    result.push(id);
    at = at === undefined ? undefined : graphOf(document, at)?.nodes[id]?.type;
  }
  return result;
}

function boxOf(draft: DocumentDraft, graphId: GraphId, definitions: Definitions, ids: Iterable<NodeId>): Box {
  const graph = graphIn(draft, graphId) as GraphRecord;
  const boxes = [...ids].flatMap((id) => {
    const node = graph.nodes[id];
    return node === undefined ? [] : [nodeBox(node, definitionOf(draft as Document, definitions, node, graphId))];
  });
  return bounds(boxes) ?? { x: 0, y: 0, width: 0, height: 0 };
}

function newGraph(id: GraphId, name: string, box: Box): GraphDraft {
  const graph: GraphRecord = {
    id,
    subgraph: {
      name,
      inputs: [],
      outputs: [],
      inputBox: { x: box.x - SIDE_GAP - SIDE_WIDTH, y: box.y + TITLE_HEIGHT, width: SIDE_WIDTH, height: 60 },
      outputBox: { x: box.x + box.width + SIDE_GAP, y: box.y + TITLE_HEIGHT, width: SIDE_WIDTH, height: 60 },
    },
    nodes: {},
    nodeOrder: [],
    links: {},
    linkOrder: [],
    groups: [],
    reroutes: {},
    rerouteOrder: [],
    strays: {},
    raw: {
      id,
      version: 1,
      state: { lastGroupId: 0, lastNodeId: 0, lastLinkId: 0, lastRerouteId: 0 },
      revision: 0,
      config: {},
      widgets: [],
    },
  };
  return graph as GraphDraft;
}

interface Border {
  /** Links from outside, by what they come from. */
  readonly into: Map<string, LinkRecord[]>;
  readonly out: Map<string, LinkRecord[]>;
}

/** Take the links across the border of `moved` out of the graph, sorted by their origin. */
function cutBorder(outer: GraphDraft, moved: ReadonlySet<NodeId>): Border {
  const border: Border = { into: new Map(), out: new Map() };
  for (const link of linksOf(outer as GraphRecord)) {
    if (moved.has(link.from) === moved.has(link.to)) continue;
    const side = moved.has(link.to) ? border.into : border.out;
    const key = `${link.from}/${link.fromSlot}`;
    side.set(key, [...(side.get(key) ?? []), { ...link }]);
  }
  for (const link of [...border.into.values(), ...border.out.values()].flat()) detach(outer, link.id);
  return border;
}

function moveContents(outer: GraphDraft, inner: GraphDraft, moved: ReadonlySet<NodeId>, items: Items): void {
  const reroutes = reroutesBetween(outer as GraphRecord, moved);
  for (const link of linksOf(outer as GraphRecord)) {
    if (!moved.has(link.from) || !moved.has(link.to)) continue;
    inner.links[link.id] = { ...link, raw: null } as GraphDraft["links"][string];
    inner.linkOrder.push(link.id);
    delete outer.links[link.id];
  }
  outer.linkOrder = outer.linkOrder.filter((id) => !(id in inner.links));
  for (const id of reroutes) {
    const one = outer.reroutes[id];
    if (one === undefined) continue;
    inner.reroutes[id] = one;
    inner.rerouteOrder.push(id);
    delete outer.reroutes[id];
  }
  outer.rerouteOrder = outer.rerouteOrder.filter((id) => !(id in inner.reroutes));
  for (const id of outer.nodeOrder.filter((one) => moved.has(one))) {
    const node = outer.nodes[id];
    if (node === undefined) continue;
    inner.nodes[id] = node;
    inner.nodeOrder.push(id);
    delete outer.nodes[id];
  }
  outer.nodeOrder = outer.nodeOrder.filter((id) => !moved.has(id));
  const groups = new Set(items.groups);
  inner.groups = outer.groups.filter((group) => groups.has(group.id));
  outer.groups = outer.groups.filter((group) => !groups.has(group.id));
}

/** Publish what the cut links need inside. Returns the links to make outside: for inputs one each, for outputs several. */
function publishBorder(draft: DocumentDraft, inner: GraphDraft, border: Border): { into: LinkRecord[]; out: LinkRecord[][] } {
  const into: LinkRecord[] = [];
  const names = new Set<string>();
  for (const links of border.into.values()) {
    const [first] = links;
    if (first === undefined) continue;
    const slot = inner.nodes[first.to]?.inputs[first.toSlot];
    const at = pushPublished(inner, "inputs", unique(slot?.widget ?? slot?.name ?? "input", names), slot?.type ?? first.type);
    for (const link of links) {
      attachInside(draft, inner, { from: INPUT_SIDE, fromSlot: at, to: link.to, toSlot: link.toSlot }, link.type);
    }
    into.push(first);
  }
  const out: LinkRecord[][] = [];
  names.clear();
  for (const links of border.out.values()) {
    const [first] = links;
    if (first === undefined) continue;
    const slot = inner.nodes[first.from]?.outputs[first.fromSlot];
    const at = pushPublished(inner, "outputs", unique(slot?.name || slot?.type || "output", names), slot?.type ?? first.type);
    attachInside(draft, inner, { from: first.from, fromSlot: first.fromSlot, to: OUTPUT_SIDE, toSlot: at }, first.type);
    out.push(links);
  }
  return { into, out };
}

function attachInside(draft: DocumentDraft, inner: GraphDraft, ends: Parameters<typeof attach>[2], type: string): void {
  const number = nextNumber(draft, "link");
  const link = { id: String(number), fileId: number, ...ends, type, parent: null, raw: null };
  inner.links[link.id] = link;
  inner.linkOrder.push(link.id);
  const made = inner.links[link.id];
  if (made !== undefined) tellEnds(inner, made);
}

/** A name that is not among `taken`, and joins them. */
function unique(name: string, taken: Set<string>): string {
  let next = name;
  for (let count = 1; taken.has(next); count += 1) next = `${name}_${count}`;
  taken.add(next);
  return next;
}

type Side = "inputs" | "outputs";

function pushPublished(inner: GraphDraft, side: Side, name: string, type: string): number {
  const info = inner.subgraph;
  if (info === null) throw new Error("The root graph has no inputs and outputs.");
  const slot: PublishedSlot = { id: uuid(), name, type, links: [], raw: {} };
  const count = info[side].push(slot as (typeof info)[Side][number]);
  const box = side === "inputs" ? info.inputBox : info.outputBox;
  box.height = Math.max(box.height, 40 + count * SIDE_ROW);
  return count - 1;
}

function placeInstance(
  draft: DocumentDraft,
  graphId: GraphId,
  definitions: Definitions,
  made: { id: NodeId; inner: GraphDraft; fed: { into: LinkRecord[]; out: LinkRecord[][] } },
): void {
  const outer = graphIn(draft, graphId);
  const around = boxOf(draft, made.inner.id, definitions, Object.keys(made.inner.nodes));
  const node = newNode(draft as Document, definitions, made.inner.id, Number(made.id));
  const [width, height] = node.size ?? [200, 100];
  const pos = [Math.round(around.x + (around.width - width) / 2), Math.round(around.y + (around.height - height) / 2)];
  outer.nodes[made.id] = { ...node, pos } as unknown as NodeDraft;
  outer.nodeOrder.push(made.id);
  made.fed.into.forEach((link, toSlot) => {
    attach(draft, graphId, { from: link.from, fromSlot: link.fromSlot, to: made.id, toSlot }, link.type);
  });
  made.fed.out.forEach((links, fromSlot) => {
    for (const link of links) attach(draft, graphId, { from: made.id, fromSlot, to: link.to, toSlot: link.toSlot }, link.type);
  });
}

function uuid(): string {
  // Not crypto.randomUUID: pages that are not served over HTTPS have none.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = [...bytes].map((one) => one.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

// ---- taking apart

/** Put what is inside an instance in its place. Returns the ids of the nodes. */
export function unpackSubgraph(draft: DocumentDraft, graphId: GraphId, definitions: Definitions, instance: NodeId): NodeId[] {
  const outer = graphIn(draft, graphId);
  const node = outer.nodes[instance] as NodeRecord | undefined;
  const inner = node && graphOf(draft as Document, node.type);
  if (node === undefined || !inner?.subgraph) return [];
  const around = boxOf(draft, inner.id, definitions, Object.keys(inner.nodes));
  const [dx, dy] = [node.pos[0] - around.x, node.pos[1] - TITLE_HEIGHT - around.y];
  const ids = new Map<NodeId, NodeId>();
  for (const id of inner.nodeOrder) {
    const one = inner.nodes[id];
    if (one === undefined) continue;
    const number = nextNumber(draft, "node");
    ids.set(id, String(number));
    outer.nodes[String(number)] = { ...copyOf(one, number), pos: [one.pos[0] + dx, one.pos[1] + dy] } as NodeDraft;
    outer.nodeOrder.push(String(number));
  }
  remapParameters(draft, (path) => outsideInstance(draft as Document, path, graphId, instance, ids));
  giveValues(outer, node, inner, ids);
  const reroutes = pasteReroutes(draft, outer, Object.values(inner.reroutes), ([x, y]) => [x + dx, y + dy]);
  relink(draft, graphId, { instance, inner, ids, reroutes });
  for (const id of reroutes.values()) {
    if (linksOver(outer as GraphRecord, id).length === 0) removeReroute(draft, graphId, id);
  }
  for (const group of inner.groups) {
    const id = `g${nextNumber(draft, "group")}`;
    outer.groups.push({ ...group, id, box: { ...group.box, x: group.box.x + dx, y: group.box.y + dy }, raw: {} } as GraphDraft["groups"][number]);
  }
  dropNode(outer, instance);
  dropUnused(draft, inner.id);
  return [...ids.values()];
}

function outsideInstance(document: Document, path: readonly NodeId[], graphId: GraphId, instance: NodeId, ids: ReadonlyMap<NodeId, NodeId>): NodeId[] {
  let at: GraphId | undefined = "root";
  const found = path.findIndex((id) => {
    if (at === graphId && id === instance) return true;
    at = at === undefined ? undefined : graphOf(document, at)?.nodes[id]?.type;
    return false;
  });
  const inner = path[found + 1];
  if (found < 0 || inner === undefined) return [...path];
  return [...path.slice(0, found), ids.get(inner) ?? inner, ...path.slice(found + 2)];
}

/** The values that the instance held for what was inside it. */
function giveValues(outer: GraphDraft, node: NodeRecord, inner: GraphRecord, ids: ReadonlyMap<NodeId, NodeId>): void {
  const give = (id: NodeId, widget: string, value: Json | undefined): void => {
    const target = outer.nodes[ids.get(id) ?? ""];
    if (target !== undefined && value !== undefined && value !== null) (target.values as Record<string, Json>)[widget] = value;
  };
  for (const one of proxyWidgets(node.properties)) if (one !== null) give(...one, node.values[proxyName(inner, ...one)]);
  inner.subgraph?.inputs.forEach((slot, at) => {
    for (const link of linksOf(inner)) {
      if (link.from !== INPUT_SIDE || link.fromSlot !== at) continue;
      const input = inner.nodes[link.to]?.inputs[link.toSlot];
      if (input?.widget !== undefined) give(link.to, input.widget, node.values[slot.name]);
    }
  });
}

interface Unpacking {
  readonly instance: NodeId;
  readonly inner: GraphRecord;
  /** New ids of nodes and reroutes. */
  readonly ids: ReadonlyMap<NodeId, NodeId>;
  readonly reroutes: ReadonlyMap<RerouteId, RerouteId>;
}

function relink(draft: DocumentDraft, graphId: GraphId, { instance, inner, ids, reroutes }: Unpacking): void {
  const outer = graphIn(draft, graphId);
  const node = outer.nodes[instance];
  const fedBy = (node?.inputs ?? []).map((slot) => (slot.link === null ? undefined : outer.links[slot.link])).map((link) => link && { ...link });
  const feeds = (node?.outputs ?? []).map((slot) => slot.links.flatMap((id) => outer.links[id] ?? []).map((link) => ({ ...link })));
  for (const link of [...fedBy, ...feeds.flat()]) if (link !== undefined) detach(outer, link.id);
  const positions = (inner.subgraph?.inputs ?? []).map((slot) => inputOfInstance(node as NodeRecord, slot));
  for (const link of linksOf(inner)) {
    const outside = fedBy[positions[link.fromSlot] ?? -1];
    const source = link.from === INPUT_SIDE ? outside : { from: ids.get(link.from) ?? "", fromSlot: link.fromSlot };
    if (source === undefined) continue;
    const { from, fromSlot } = source;
    const targets = link.to === OUTPUT_SIDE ? (feeds[link.toSlot] ?? []) : [{ to: ids.get(link.to) ?? "", toSlot: link.toSlot }];
    for (const { to, toSlot } of targets) {
      if (outputType(outer as GraphRecord, from, fromSlot) !== undefined && inputType(outer as GraphRecord, to, toSlot) !== undefined) {
        const made = outer.links[attach(draft, graphId, { from, fromSlot, to, toSlot }, link.type)];
        if (made !== undefined) made.parent = link.parent === null ? null : (reroutes.get(link.parent) ?? null);
      }
    }
  }
}

/** Which input of an instance feeds a published input: one of its name, the linked one if there are several; -1 if none. */
function inputOfInstance(node: NodeRecord | undefined, slot: Pick<PublishedSlot, "name">): number {
  const inputs = node?.inputs ?? [];
  const linked = inputs.findIndex((one) => one.name === slot.name && one.link !== null);
  return linked >= 0 ? linked : inputs.findIndex((one) => one.name === slot.name);
}

/** A definition goes with its last instance. */
function dropUnused(draft: DocumentDraft, id: GraphId): void {
  if (instancesOf(draft as Document, id).length > 0) return;
  delete draft.graphs[id];
  draft.subgraphOrder = draft.subgraphOrder.filter((one) => one !== id);
}

/** All nodes that are instances of a definition. */
export function instancesOf(document: Document, id: GraphId): { graph: GraphId; node: NodeRecord }[] {
  return Object.values(document.graphs).flatMap((graph) =>
    Object.values(graph.nodes).flatMap((node) => (node.type === id ? [{ graph: graph.id, node }] : [])),
  );
}

// ---- published inputs and outputs

/** Publish an input of a node inside: every instance gets it. Returns its position; null if it cannot be. */
export function publishInput(draft: DocumentDraft, graphId: GraphId, end: { node: NodeId; slot: number }): number | null {
  const graph = graphIn(draft, graphId);
  const slot = graph.nodes[end.node]?.inputs[end.slot];
  if (graph.subgraph === null || slot === undefined) return null;
  const name = unique(slot.widget ?? slot.name, new Set(graph.subgraph.inputs.map((one) => one.name)));
  const at = pushPublished(graph, "inputs", name, slot.type);
  attach(draft, graphId, { from: INPUT_SIDE, fromSlot: at, to: end.node, toSlot: end.slot }, slot.type);
  for (const node of instanceDrafts(draft, graphId)) {
    node.inputs.push({ name, type: slot.type, link: null, ...(slot.widget === undefined ? {} : { widget: name }), raw: {} });
  }
  return at;
}

export function publishOutput(draft: DocumentDraft, graphId: GraphId, end: { node: NodeId; slot: number }): number | null {
  const graph = graphIn(draft, graphId);
  const slot = graph.nodes[end.node]?.outputs[end.slot];
  if (graph.subgraph === null || slot === undefined) return null;
  const name = unique(slot.name || slot.type, new Set(graph.subgraph.outputs.map((one) => one.name)));
  const at = pushPublished(graph, "outputs", name, slot.type);
  attach(draft, graphId, { from: end.node, fromSlot: end.slot, to: OUTPUT_SIDE, toSlot: at }, slot.type);
  for (const node of instanceDrafts(draft, graphId)) node.outputs.push({ name, type: slot.type, links: [], raw: {} });
  return at;
}

function instanceDrafts(draft: DocumentDraft, id: GraphId): NodeDraft[] {
  return Object.values(draft.graphs).flatMap((graph) => Object.values(graph.nodes).filter((node) => node.type === id));
}

/** Take a published input or output back, with the links at it inside and outside. */
export function unpublish(draft: DocumentDraft, graphId: GraphId, side: "input" | "output", index: number): void {
  const graph = graphIn(draft, graphId);
  const info = graph.subgraph;
  const slots = side === "input" ? info?.inputs : info?.outputs;
  const slot = slots?.[index];
  if (info === null || slots === undefined || slot === undefined) return;
  for (const owner of Object.values(draft.graphs)) {
    for (const node of Object.values(owner.nodes)) {
      if (node.type !== graphId) continue;
      if (side === "output") removeOutput(owner, node, index);
      else delete (node.values as Record<string, Json>)[slot.name];
      if (side === "input") removeInput(owner, node, inputOfInstance(node as NodeRecord, slot as PublishedSlot));
    }
  }
  for (const id of [...slot.links]) detach(graph, id);
  slots.splice(index, 1);
  for (const link of Object.values(graph.links)) {
    if (side === "input" && link.from === INPUT_SIDE && link.fromSlot > index) link.fromSlot -= 1;
    if (side === "output" && link.to === OUTPUT_SIDE && link.toSlot > index) link.toSlot -= 1;
  }
}

function removeInput(graph: GraphDraft, node: NodeDraft, index: number): void {
  const slot = node.inputs[index];
  if (slot === undefined) return;
  const link = incoming(graph, node.id, index);
  if (link !== null) detach(graph, link);
  node.inputs.splice(index, 1);
  for (const one of Object.values(graph.links)) if (one.to === node.id && one.toSlot > index) one.toSlot -= 1;
}

function removeOutput(graph: GraphDraft, node: NodeDraft, index: number): void {
  const slot = node.outputs[index];
  if (slot === undefined) return;
  for (const link of [...slot.links]) detach(graph, link);
  node.outputs.splice(index, 1);
  for (const one of Object.values(graph.links)) if (one.from === node.id && one.fromSlot > index) one.fromSlot -= 1;
}

/** Another label for a published input or output; its name, by which instances know it, stays. */
export function renamePublished(draft: DocumentDraft, graphId: GraphId, side: "input" | "output", index: number, label: string): void {
  const info = graphIn(draft, graphId).subgraph;
  const slot = (side === "input" ? info?.inputs : info?.outputs)?.[index];
  if (slot === undefined) return;
  setLabel(slot, label);
  for (const node of instanceDrafts(draft, graphId)) {
    const at = side === "input" ? inputOfInstance(node as NodeRecord, slot as PublishedSlot) : index;
    const own = side === "input" ? node.inputs[at] : node.outputs[at];
    if (own !== undefined) setLabel(own, label);
  }
}

function setLabel(slot: { name: string; label?: string }, label: string): void {
  if (label === "" || label === slot.name) delete slot.label;
  else slot.label = label;
}

export function renameSubgraph(draft: DocumentDraft, graphId: GraphId, name: string): void {
  const info = graphIn(draft, graphId).subgraph;
  if (info !== null && name !== "") info.name = name;
}

// ---- widgets of nodes inside, shown on an instance

/** Show a widget of an inner node on an instance, or no longer. */
export function setProxyWidget(draft: DocumentDraft, graphId: GraphId, instance: NodeId, inner: NodeId, widget: string, shown: boolean): void {
  const node = graphIn(draft, graphId).nodes[instance];
  if (node === undefined) return;
  const now = proxyWidgets(node.properties as NodeRecord["properties"]).filter((one) => one !== null);
  const others = now.filter(([id, name]) => id !== inner || name !== widget);
  if ((others.length < now.length) === shown) return;
  const inside = graphOf(draft as Document, node.type);
  if (!shown) delete (node.values as Record<string, Json>)[proxyName(inside, inner, widget)];
  // The list then speaks for all values of the instance, so those of its own inputs must stand in it too.
  const own = now.length === 0 ? widgetNames(draft as Document, node.type).map((name) => ["-1", name]) : [];
  (node.properties as Record<string, Json>)["proxyWidgets"] = shown ? [...own, ...now.map((one) => [...one]), [inner, widget]] : others.map((one) => [...one]);
}

/** Subgraph definitions that nothing uses any more. */
export function unusedSubgraphs(document: Document): GraphId[] {
  const root = document.graphs["root"];
  const used = new Set(usedGraphs(document, Object.values(root?.nodes ?? {})).map((graph) => graph.id));
  return document.subgraphOrder.filter((id) => !used.has(id));
}

