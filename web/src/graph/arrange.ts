/** Laying a graph out anew: its topological generations stand from left to right. */
import { definitionOf } from "./instances";
import type { Definitions } from "./definitions";
import { bounds } from "./geometry";
import { graphOf, nodesOf } from "./graphs";
import { nodeBox } from "./layout";
import type { Box, Document, GraphId, GraphRecord, NodeId, Point } from "./types";

const GAP_X = 70;
const GAP_Y = 40;

/** Nodes by the longest way from a start; those on a ring stand where they are first met. */
export function generations(graph: GraphRecord, ids: ReadonlySet<NodeId> = new Set(Object.keys(graph.nodes))): NodeId[][] {
  const depth = new Map<NodeId, number>();
  const sources = (id: NodeId): NodeId[] =>
    (graph.nodes[id]?.inputs ?? []).flatMap((slot) => {
      const from = slot.link === null ? undefined : graph.links[slot.link]?.from;
      return from !== undefined && ids.has(from) ? [from] : [];
    });
  const visit = (start: NodeId): void => {
    const stack: { id: NodeId; waiting: NodeId[] }[] = [{ id: start, waiting: sources(start) }];
    const open = new Set([start]);
    for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
      const next = top.waiting.pop();
      if (next === undefined) {
        const before = sources(top.id).map((one) => depth.get(one) ?? -1);
        depth.set(top.id, Math.max(-1, ...before) + 1);
        open.delete(top.id);
        stack.pop();
      } else if (!depth.has(next) && !open.has(next)) {
        open.add(next);
        stack.push({ id: next, waiting: sources(next) });
      }
    }
  };
  const columns: NodeId[][] = [];
  for (const { id } of nodesOf(graph)) {
    if (ids.has(id) && !depth.has(id)) visit(id);
  }
  for (const { id } of nodesOf(graph)) {
    if (ids.has(id)) (columns[depth.get(id) ?? 0] ??= []).push(id);
  }
  return columns.map((column) => column ?? []);
}

/** New positions (`pos`) for nodes, with the top left corner of their common box where it was. */
export function autoLayout(document: Document, graphId: GraphId, definitions: Definitions, ids?: Iterable<NodeId>): Record<NodeId, Point> {
  const graph = graphOf(document, graphId);
  if (graph === undefined) return {};
  const movable = [...(ids ?? Object.keys(graph.nodes))].filter((id) => graph.nodes[id]?.pinned === false);
  const boxes = new Map<NodeId, Box>();
  for (const id of movable) {
    const node = graph.nodes[id];
    if (node !== undefined) boxes.set(id, nodeBox(node, definitionOf(document, definitions, node, graphId)));
  }
  const around = bounds([...boxes.values()]);
  if (around === null) return {};
  const linked = new Set(movable.filter((id) => hasLinkIn(graph, id, boxes)));
  const placed = placeColumns(graph, pulledRight(graph, generations(graph, linked), linked), boxes, around);
  placeLoose(movable.filter((id) => !linked.has(id)), boxes, placed, around);
  return Object.fromEntries(
    [...placed].map(([id, [x, y]]) => {
      const node = graph.nodes[id];
      const box = boxes.get(id);
      const title = (node?.pos[1] ?? 0) - (box?.y ?? 0);
      return [id, [Math.round(x), Math.round(y + title)] as const];
    }),
  );
}

function hasLinkIn(graph: GraphRecord, id: NodeId, boxes: ReadonlyMap<NodeId, Box>): boolean {
  const node = graph.nodes[id];
  if (node === undefined) return false;
  const ends = [...node.inputs.flatMap((slot) => slot.link ?? []), ...node.outputs.flatMap((slot) => slot.links)];
  return ends.some((link) => {
    const { from, to } = graph.links[link] ?? { from: "", to: "" };
    return boxes.has(from === id ? to : from);
  });
}

/** Nodes without inputs stand just before the first node that they feed, not all at the far left. */
function pulledRight(graph: GraphRecord, columns: NodeId[][], ids: ReadonlySet<NodeId>): NodeId[][] {
  const column = new Map(columns.flatMap((one, at) => one.map((id) => [id, at] as const)));
  const result: NodeId[][] = columns.map(() => []);
  for (const id of columns.flat()) {
    const node = graph.nodes[id];
    const isStart = !node?.inputs.some((slot) => slot.link !== null && ids.has(graph.links[slot.link]?.from ?? ""));
    const fed = (node?.outputs ?? []).flatMap((slot) => slot.links.flatMap((link) => column.get(graph.links[link]?.to ?? "") ?? []));
    const at = isStart && fed.length > 0 ? Math.min(...fed) - 1 : (column.get(id) ?? 0);
    (result[Math.max(at, 0)] ??= []).push(id);
  }
  return result;
}

function placeColumns(
  graph: GraphRecord,
  columns: readonly NodeId[][],
  boxes: ReadonlyMap<NodeId, Box>,
  around: Box,
): Map<NodeId, Point> {
  const placed = new Map<NodeId, Point>();
  let { x } = around;
  for (const column of columns) {
    const middles = new Map(column.map((id) => [id, meanHeight(graph, id, placed, boxes)]));
    let { y } = around;
    const width = Math.max(0, ...column.map((id) => boxes.get(id)?.width ?? 0));
    for (const id of column.toSorted((a, b) => (middles.get(a) ?? 0) - (middles.get(b) ?? 0))) {
      placed.set(id, [x, y]);
      y += (boxes.get(id)?.height ?? 0) + GAP_Y;
    }
    if (column.length > 0) x += width + GAP_X;
  }
  return placed;
}

/** The mean height of what a node reads; where it stands now if it reads nothing that is placed yet. */
function meanHeight(graph: GraphRecord, id: NodeId, placed: ReadonlyMap<NodeId, Point>, boxes: ReadonlyMap<NodeId, Box>): number {
  const read = (graph.nodes[id]?.inputs ?? []).flatMap((slot) => {
    const from = slot.link === null ? undefined : graph.links[slot.link]?.from;
    const at = from === undefined ? undefined : placed.get(from);
    return at === undefined ? [] : [at[1]];
  });
  return read.length > 0 ? read.reduce((sum, one) => sum + one, 0) / read.length : (boxes.get(id)?.y ?? 0);
}

/** Nodes without links, such as notes, stand in a row under the others. */
function placeLoose(ids: readonly NodeId[], boxes: ReadonlyMap<NodeId, Box>, placed: Map<NodeId, Point>, around: Box): void {
  const bottoms = [...placed].map(([id, [, y]]) => y + (boxes.get(id)?.height ?? 0));
  const y = bottoms.length > 0 ? Math.max(...bottoms) + GAP_Y : around.y;
  let { x } = around;
  for (const id of ids) {
    placed.set(id, [x, y]);
    x += (boxes.get(id)?.width ?? 0) + GAP_X / 2;
  }
}

/** The box around everything in a graph. */
export function graphBounds(document: Document, graphId: GraphId, definitions: Definitions): Box | null {
  const graph = graphOf(document, graphId);
  if (graph === undefined) return null;
  return bounds([
    ...nodesOf(graph).map((node) => nodeBox(node, definitionOf(document, definitions, node, graphId))),
    ...graph.groups.map((group) => group.box),
    ...(graph.subgraph === null ? [] : [graph.subgraph.inputBox, graph.subgraph.outputBox]),
  ]);
}
