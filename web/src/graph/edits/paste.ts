/** Putting fragments into a graph: paste and duplicate. */
import { type Copied, type Fragment, copyFragment, documentName, fragmentNodes } from "../clipboard";
import { type DocumentDraft, type GraphDraft, type NodeDraft, attach, graphIn, nextNumber } from "../drafts";
import { bounds } from "../geometry";
import { TITLE_HEIGHT } from "../layout";
import { typesMatch } from "../matching";
import {
  type Document,
  type GraphId,
  type GraphRecord,
  type GroupId,
  type LinkRecord,
  type NodeId,
  type NodeRecord,
  type Point,
  type RerouteId,
  type RerouteRecord,
} from "../types";
import { inputType, outputType } from "./links";

export interface PasteOptions {
  /** Where the top left corner goes. */
  readonly at?: Point;
  /** How far from where it was copied. */
  readonly offset?: Point;
  /** `outside`: also links into the copied nodes from nodes that were not copied. */
  readonly links?: "inside" | "outside";
}

export interface Pasted {
  readonly nodes: NodeId[];
  readonly groups: GroupId[];
  readonly reroutes: RerouteId[];
}

export function paste(draft: DocumentDraft, graphId: GraphId, fragment: Fragment, options: PasteOptions = {}): Pasted {
  const graph = graphIn(draft, graphId);
  addGraphs(draft, fragment);
  const [dx, dy] = offsetOf(fragment, options);
  const move = ([x, y]: Point): [number, number] => [x + dx, y + dy];
  const ids = new Map<NodeId, NodeId>();
  for (const node of fragment.nodes) {
    if (isRecursive(draft as Document, graphId, node.type)) continue;
    const number = nextNumber(draft, "node");
    ids.set(node.id, String(number));
    graph.nodes[String(number)] = { ...copyOf(node, number), pos: move(node.pos) } as NodeDraft;
    graph.nodeOrder.push(String(number));
  }
  const reroutes = pasteReroutes(draft, graph, fragment.reroutes, move);
  for (const link of fragment.links) pasteLink(draft, graphId, link, { ids, reroutes, outside: mayReachOut(draft, graphId, fragment, options) });
  const groups = fragment.groups.map((group) => {
    const id = `g${nextNumber(draft, "group")}`;
    const { id: _, ...raw } = group.raw;
    graph.groups.push({ ...group, id, box: { ...group.box, x: group.box.x + dx, y: group.box.y + dy }, raw: raw as never, pinned: false });
    return id;
  });
  return { nodes: [...ids.values()], groups, reroutes: [...reroutes.values()] };
}

export function duplicate(draft: DocumentDraft, graphId: GraphId, items: Copied, offset: Point, options: Pick<PasteOptions, "links"> = {}): Pasted {
  return paste(draft, graphId, copyFragment(draft as Document, graphId, items), { ...options, offset });
}

function offsetOf(fragment: Fragment, options: PasteOptions): Point {
  if (options.at === undefined) return options.offset ?? [0, 0];
  const corner = bounds([
    ...fragment.nodes.map((node) => ({ x: node.pos[0], y: node.pos[1] - TITLE_HEIGHT, width: 0, height: 0 })),
    ...fragment.groups.map((group) => group.box),
    ...fragment.reroutes.map((one) => ({ x: one.pos[0], y: one.pos[1], width: 0, height: 0 })),
  ]);
  return corner === null ? [0, 0] : [options.at[0] - corner.x, options.at[1] - corner.y];
}

/** A node without links and with no place in a file yet. What only the file knew of it is kept. */
export function copyOf(node: NodeRecord, number: number): NodeRecord {
  const inputs = node.inputs.map(({ dangling: _, ...slot }) => ({ ...slot, link: null, raw: { ...slot.raw, link: null } }));
  const outputs = node.outputs.map(({ read: _, ...slot }) => ({ ...slot, links: [], raw: { ...slot.raw, links: [] } }));
  const { order: _, ...raw } = node.raw;
  const blank = node.raw["id"] === undefined;
  return {
    ...node,
    id: String(number),
    fileId: number,
    pinned: false,
    inputs: inputs.map((slot, at) => ({ ...slot, raw: isBlank(node.inputs[at]?.raw) ? {} : slot.raw })),
    outputs: outputs.map((slot, at) => ({ ...slot, raw: isBlank(node.outputs[at]?.raw) ? {} : slot.raw })),
    raw: (blank ? raw : { ...raw, id: number }) as NodeRecord["raw"],
  };
}

function isBlank(raw: object | undefined): boolean {
  return raw === undefined || Object.keys(raw).length === 0;
}

/** Definitions that the document has not got yet. One that it has under the same id stays as it is here. */
function addGraphs(draft: DocumentDraft, fragment: Fragment): void {
  for (const [id, graph] of Object.entries(fragment.graphs)) {
    if (Object.hasOwn(draft.graphs, id)) continue;
    draft.graphs[id] = graph as GraphDraft;
    draft.subgraphOrder.push(id);
  }
}

/** Whether a node of this type in this graph would hold itself. */
export function isRecursive(document: Document, graphId: GraphId, type: string): boolean {
  const waiting = [type];
  const seen = new Set<string>();
  for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) {
    if (id === graphId) return true;
    if (seen.has(id) || !Object.hasOwn(document.graphs, id)) continue;
    seen.add(id);
    waiting.push(...Object.values(document.graphs[id]?.nodes ?? {}).map((node) => node.type));
  }
  return false;
}

/** Put copies of reroutes into a graph. Returns their ids by the ids of the originals. */
export function pasteReroutes(
  draft: DocumentDraft,
  graph: GraphDraft,
  reroutes: readonly RerouteRecord[],
  move: (pos: Point) => [number, number],
): Map<RerouteId, RerouteId> {
  const ids = new Map(reroutes.map((one) => [one.id, String(nextNumber(draft, "reroute"))] as const));
  for (const one of reroutes) {
    const id = ids.get(one.id) ?? "";
    const parent = one.parent === null ? null : (ids.get(one.parent) ?? null);
    graph.reroutes[id] = { id, fileId: Number(id), pos: move(one.pos), parent, read: null, raw: {} };
    graph.rerouteOrder.push(id);
  }
  return ids;
}

interface Placing {
  readonly ids: ReadonlyMap<NodeId, NodeId>;
  readonly reroutes: ReadonlyMap<RerouteId, RerouteId>;
  readonly outside: boolean;
}

function pasteLink(draft: DocumentDraft, graphId: GraphId, link: LinkRecord, placing: Placing): void {
  const graph = graphIn(draft, graphId);
  const record = graph as GraphRecord;
  const to = placing.ids.get(link.to);
  const inner = placing.ids.get(link.from);
  const from = inner ?? (placing.outside ? link.from : undefined);
  if (to === undefined || from === undefined) return;
  const ends = { from, fromSlot: link.fromSlot, to, toSlot: link.toSlot };
  const [given, wanted] = [outputType(record, from, link.fromSlot), inputType(record, to, link.toSlot)];
  if (given === undefined || wanted === undefined || (inner === undefined && !typesMatch(given, wanted))) return;
  const id = attach(draft, graphId, ends, link.type);
  const parent = link.parent === null || inner === undefined ? undefined : placing.reroutes.get(link.parent);
  const made = graph.links[id];
  if (parent !== undefined && made !== undefined) made.parent = parent;
}

/** Links from outside only mean something in the graph that they were copied in. */
function mayReachOut(draft: DocumentDraft, graphId: GraphId, fragment: Fragment, options: PasteOptions): boolean {
  if (options.links !== "outside" || fragment.source.graph !== graphId) return false;
  if (fragment.source.document !== documentName(draft as Document)) return false;
  const copied = fragmentNodes(fragment);
  const graph = draft.graphs[graphId];
  return fragment.links.every((link) => copied.has(link.from) || graph === undefined || link.from in graph.nodes || link.from.startsWith("-"));
}
