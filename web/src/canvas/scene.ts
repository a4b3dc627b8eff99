/**
 * Where everything of the shown graph stands: boxes of nodes, ends of links. Made from the document and from what is being
 * dragged, without a look at the page. Parts that did not change are taken over from the scene before.
 */
import { type Definitions, type NodeDefinition, isMissing } from "@/graph/definitions";
import { linksOf, nodesOf } from "@/graph/graphs";
import { definitionOf } from "@/graph/instances";
import { type HandleGeometry, type NodeGeometry, nodeGeometry } from "@/graph/layout";
import {
  type Box,
  type Document,
  type GraphId,
  type GraphRecord,
  type GroupRecord,
  INPUT_SIDE,
  type LinkId,
  type LinkRecord,
  type NodeId,
  type NodeRecord,
  OUTPUT_SIDE,
  type Point,
  type RerouteId,
} from "@/graph/types";
import { around, moved } from "./boxes";
import { curveBox } from "./curve";
import { type SideBox, sideBox } from "./sides";
import type { Drag } from "./ui";

export interface SceneNode extends Box {
  readonly id: NodeId;
  readonly record: NodeRecord;
  readonly definition: NodeDefinition | undefined;
  readonly geometry: NodeGeometry;
  readonly missing: boolean;
  /** Handles by slot. */
  readonly inputs: readonly (HandleGeometry | undefined)[];
  readonly outputs: readonly (HandleGeometry | undefined)[];
}

export interface SceneLink {
  readonly id: LinkId;
  readonly record: LinkRecord;
  /** Output, reroutes on the way, input. */
  readonly points: readonly Point[];
  readonly box: Box;
  readonly type: string;
  /** The height between two nodes at which a link that runs backwards passes; null if it does not or cannot. */
  readonly lane: number | null;
}

export interface SceneGroup {
  readonly record: GroupRecord;
  readonly box: Box;
}

export interface SceneReroute {
  readonly id: RerouteId;
  readonly at: Point;
  readonly type: string;
}

export interface Scene {
  readonly document: Document;
  readonly definitions: Definitions;
  readonly graphId: GraphId;
  readonly graph: GraphRecord;
  /** In drawing order: the last is on top. */
  readonly nodes: readonly SceneNode[];
  readonly byId: ReadonlyMap<NodeId, SceneNode>;
  readonly links: readonly SceneLink[];
  readonly groups: readonly SceneGroup[];
  readonly reroutes: ReadonlyMap<RerouteId, SceneReroute>;
  /** The two borders of a subgraph. */
  readonly sides: readonly SideBox[];
}

export interface SceneInput {
  readonly document: Document;
  readonly definitions: Definitions;
  readonly graphId: GraphId;
  readonly drag: Drag | null;
  readonly previews: Readonly<Record<NodeId, number>>;
  readonly hideAdvanced?: boolean;
}

export function buildScene(input: SceneInput, before: Scene | null): Scene {
  const { document, definitions, graphId } = input;
  const graph = document.graphs[graphId];
  if (graph === undefined) throw new Error(`The workflow has no graph ${graphId}.`);
  const kept = before?.graphId === graphId ? before : null;
  const nodes: SceneNode[] = [];
  const byId = new Map<NodeId, SceneNode>();
  for (const record of nodesOf(graph)) {
    const node = placeNode(input, record, kept?.byId.get(record.id));
    nodes.push(node);
    byId.set(record.id, node);
  }
  const sides = graph.subgraph ? [sideBox(graph.subgraph, "input"), sideBox(graph.subgraph, "output")] : [];
  const reroutes = placeReroutes(graph, input.drag);
  const partial = { byId, sides, reroutes };
  return {
    document,
    definitions,
    graphId,
    graph,
    nodes: kept && sameList(kept.nodes, nodes) ? kept.nodes : nodes,
    byId,
    links: placeLinks(graph, partial, kept),
    groups: placeGroups(graph, input.drag),
    reroutes,
    sides,
  };
}

function sameList<T>(a: readonly T[], b: readonly T[]): boolean {
  return a.length === b.length && a.every((one, index) => one === b[index]);
}

function placeNode(input: SceneInput, record: NodeRecord, before: SceneNode | undefined): SceneNode {
  const definition = definitionOf(input.document, input.definitions, record, input.graphId);
  const preview = input.previews[record.id];
  const geometry = nodeGeometry(record, definition, { ...(preview ? { preview } : {}), ...(input.hideAdvanced ? { hideAdvanced: true } : {}) });
  const dragged = input.drag?.nodes.has(record.id) ? input.drag.delta : STILL;
  const [x, y] = [geometry.x + dragged[0], geometry.y + dragged[1]];
  if (before && before.record === record && before.geometry === geometry && before.definition === definition && before.x === x && before.y === y) {
    return before;
  }
  return {
    id: record.id,
    record,
    definition,
    geometry,
    missing: isMissing(input.document, input.definitions, record),
    x,
    y,
    width: geometry.width,
    height: geometry.height,
    inputs: before?.geometry === geometry ? before.inputs : bySlot(geometry, "input"),
    outputs: before?.geometry === geometry ? before.outputs : bySlot(geometry, "output"),
  };
}

const STILL: Point = [0, 0];

function bySlot(geometry: NodeGeometry, side: "input" | "output"): (HandleGeometry | undefined)[] {
  const found: (HandleGeometry | undefined)[] = [];
  for (const handle of geometry.handles) if (handle.side === side) found[handle.slot] = handle;
  return found;
}

function placeGroups(graph: GraphRecord, drag: Drag | null): SceneGroup[] {
  return graph.groups.map((record) => ({
    record,
    box: drag?.groups.has(record.id) ? moved(record.box, drag.delta) : record.box,
  }));
}

type Ends = Pick<Scene, "byId" | "sides" | "reroutes">;

function placeReroutes(graph: GraphRecord, drag: Drag | null): Map<RerouteId, SceneReroute> {
  const found = new Map<RerouteId, SceneReroute>();
  const types = rerouteTypes(graph);
  for (const record of Object.values(graph.reroutes)) {
    const delta = drag?.reroutes.has(record.id) ? drag.delta : STILL;
    found.set(record.id, {
      id: record.id,
      at: [record.pos[0] + delta[0], record.pos[1] + delta[1]],
      type: types.get(record.id) ?? "*",
    });
  }
  return found;
}

function rerouteTypes(graph: GraphRecord): Map<RerouteId, string> {
  const types = new Map<RerouteId, string>();
  if (graph.rerouteOrder.length === 0) return types;
  for (const link of linksOf(graph)) {
    for (const id of rerouteChain(graph, link)) types.set(id, link.type);
  }
  return types;
}

/** Reroutes of a link from its output to its input. Stops at a loop in the file. */
export function rerouteChain(graph: GraphRecord, link: LinkRecord): RerouteId[] {
  const chain: RerouteId[] = [];
  for (let id = link.parent; id !== null && !chain.includes(id); ) {
    const record: GraphRecord["reroutes"][string] | undefined = graph.reroutes[id];
    if (record === undefined) break;
    chain.unshift(id);
    id = record.parent;
  }
  return chain;
}

function placeLinks(graph: GraphRecord, scene: Ends, kept: Scene | null): SceneLink[] {
  const before = new Map(kept?.links.map((link) => [link.id, link]));
  const found: SceneLink[] = [];
  for (const record of linksOf(graph)) {
    const from = endOf(scene, record.from, "output", record.fromSlot);
    const to = endOf(scene, record.to, "input", record.toSlot);
    if (from === null || to === null) continue;
    const old = before.get(record.id);
    const points = record.parent === null ? [from, to] : [from, ...rerouteChain(graph, record).map((id) => scene.reroutes.get(id)?.at ?? from), to];
    const lane = record.parent === null && to[0] < from[0] ? laneBetween(scene.byId.get(record.from), scene.byId.get(record.to)) : null;
    if (old && old.record === record && old.lane === lane && samePoints(old.points, points)) found.push(old);
    else found.push({ id: record.id, record, points, box: curveBox(points), type: typeOf(scene, record), lane });
  }
  return found;
}

/** Nodes farther apart than this leave room enough for a plain curve. */
const NEAR = 90;

/** Nodes hide what runs behind them, so a link back to a node close above or below keeps to the gap between the two. */
function laneBetween(a: Box | undefined, b: Box | undefined): number | null {
  if (a === undefined || b === undefined) return null;
  const [upper, lower] = a.y <= b.y ? [a, b] : [b, a];
  const end = upper.y + upper.height;
  return end <= lower.y && lower.y - end < NEAR ? (end + lower.y) / 2 : null;
}

/** The colour of a link is that of the output it comes from, unless that says nothing. */
function typeOf(scene: Ends, link: LinkRecord): string {
  const output = scene.byId.get(link.from)?.record.outputs[link.fromSlot]?.type;
  return output && output !== "*" ? output : link.type;
}

function samePoints(a: readonly Point[], b: readonly Point[]): boolean {
  return a.length === b.length && a.every((point, i) => point[0] === b[i]?.[0] && point[1] === b[i]?.[1]);
}

/** Where a socket stands in the graph; null if there is none. */
export function endOf(scene: Ends, id: NodeId, side: "input" | "output", slot: number): Point | null {
  if (id === INPUT_SIDE || id === OUTPUT_SIDE) {
    const box = scene.sides.find((one) => one.id === id);
    return box?.slots[slot]?.at ?? null;
  }
  const node = scene.byId.get(id);
  const handle = node?.[side === "input" ? "inputs" : "outputs"][slot];
  return node && handle ? [node.x + handle.x, node.y + handle.y] : null;
}

export function sceneBounds(scene: Scene): Box | null {
  const points = [...scene.reroutes.values()].map(({ at }) => ({ x: at[0] - 5, y: at[1] - 5, width: 10, height: 10 }));
  return around([...scene.nodes, ...scene.groups.map((group) => group.box), ...scene.sides.map((side) => side.box), ...points]);
}
