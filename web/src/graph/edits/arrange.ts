/** Edits of where things stand, by rule. */
import { autoLayout } from "../arrange";
import type { Definitions } from "../definitions";
import type { DocumentDraft } from "../drafts";
import { graphIn } from "../drafts";
import { bounds } from "../geometry";
import { definitionOf } from "../instances";
import { nodeBox } from "../layout";
import type { Box, Document, GraphId, NodeId, NodeRecord, Point } from "../types";
import { moveNodes, setPositions } from "./nodes";

export type Alignment = "left" | "right" | "top" | "bottom" | "centerX" | "centerY";

interface Placed {
  readonly id: NodeId;
  readonly box: Box;
}

function placed(draft: DocumentDraft, graphId: GraphId, definitions: Definitions, ids: Iterable<NodeId>): Placed[] {
  const graph = graphIn(draft, graphId);
  return [...ids].flatMap((id) => {
    const node = graph.nodes[id] as NodeRecord | undefined;
    if (node === undefined || node.pinned) return [];
    return [{ id, box: nodeBox(node, definitionOf(draft as Document, definitions, node, graphId)) }];
  });
}

/** Let nodes share an edge or a middle line of their common box. */
export function align(draft: DocumentDraft, graphId: GraphId, definitions: Definitions, ids: Iterable<NodeId>, side: Alignment): void {
  const nodes = placed(draft, graphId, definitions, ids);
  const around = bounds(nodes.map((one) => one.box));
  if (around === null) return;
  for (const { id, box } of nodes) moveNodes(draft, graphId, [id], shift(box, around, side));
}

function shift(box: Box, around: Box, side: Alignment): Point {
  switch (side) {
    case "left":
      return [around.x - box.x, 0];
    case "right":
      return [around.x + around.width - box.x - box.width, 0];
    case "top":
      return [0, around.y - box.y];
    case "bottom":
      return [0, around.y + around.height - box.y - box.height];
    case "centerX":
      return [around.x + around.width / 2 - box.x - box.width / 2, 0];
    case "centerY":
      return [0, around.y + around.height / 2 - box.y - box.height / 2];
  }
}

/** Equal gaps between nodes in a row or column; the outermost stay. */
export function distribute(
  draft: DocumentDraft,
  graphId: GraphId,
  definitions: Definitions,
  ids: Iterable<NodeId>,
  direction: "horizontal" | "vertical",
): void {
  const [at, extent] = direction === "horizontal" ? (["x", "width"] as const) : (["y", "height"] as const);
  const nodes = placed(draft, graphId, definitions, ids).sort((a, b) => a.box[at] - b.box[at]);
  const around = bounds(nodes.map((one) => one.box));
  if (around === null || nodes.length < 3) return;
  const gap = (around[extent] - nodes.reduce((sum, one) => sum + one.box[extent], 0)) / (nodes.length - 1);
  let next = around[at];
  for (const { id, box } of nodes) {
    const by = next - box[at];
    moveNodes(draft, graphId, [id], direction === "horizontal" ? [by, 0] : [0, by]);
    next += box[extent] + gap;
  }
}

/** Lay out a graph, or some of its nodes, anew. */
export function arrange(draft: DocumentDraft, graphId: GraphId, definitions: Definitions, ids?: Iterable<NodeId>): void {
  setPositions(draft, graphId, autoLayout(draft as Document, graphId, definitions, ids));
}
