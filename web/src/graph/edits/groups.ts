/** Edits of groups: coloured areas behind nodes. */
import type { Definitions } from "../definitions";
import { type DocumentDraft, graphIn, nextNumber } from "../drafts";
import { bounds, center, contains, grown } from "../geometry";
import { definitionOf } from "../instances";
import { nodeBox } from "../layout";
import { type Box, type Document, type GraphId, type GraphRecord, type GroupId, type GroupRecord, type NodeId, type RerouteId } from "../types";

const PADDING = 20;
export const GROUP_TITLE_HEIGHT = 34;

export function addGroup(draft: DocumentDraft, graphId: GraphId, box: Box, title = "Group", color: string | null = "#3f789e"): GroupId {
  const id = `g${nextNumber(draft, "group")}`;
  graphIn(draft, graphId).groups.push({ id, title, box: { ...box }, color, fontSize: 24, pinned: false, raw: {} });
  return id;
}

export type GroupChange = Partial<Pick<GroupRecord, "title" | "box" | "color" | "fontSize" | "pinned">>;

export function updateGroup(draft: DocumentDraft, graphId: GraphId, id: GroupId, change: GroupChange): void {
  const group = graphIn(draft, graphId).groups.find((one) => one.id === id);
  if (group !== undefined) Object.assign(group, change);
}

/** A group around nodes. */
export function groupAround(
  draft: DocumentDraft,
  graphId: GraphId,
  definitions: Definitions,
  nodes: Iterable<NodeId>,
  title?: string,
): GroupId | null {
  const box = boxAround(draft as Document, graphId, definitions, [...nodes]);
  return box === null ? null : addGroup(draft, graphId, box, title);
}

/** Let a group's box fit the nodes that stand in it. */
export function fitGroup(draft: DocumentDraft, graphId: GraphId, definitions: Definitions, id: GroupId): void {
  const graph = graphIn(draft, graphId);
  const group = graph.groups.find((one) => one.id === id);
  if (group === undefined) return;
  const inside = nodesInGroup(graph as GraphRecord, definitions, group, draft as Document);
  const box = boxAround(draft as Document, graphId, definitions, inside);
  if (box !== null) group.box = box;
}

function boxAround(document: Document, graphId: GraphId, definitions: Definitions, nodes: readonly NodeId[]): Box | null {
  const graph = document.graphs[graphId];
  const boxes = nodes.flatMap((id) => {
    const node = graph?.nodes[id];
    return node === undefined ? [] : [nodeBox(node, definitionOf(document, definitions, node, graphId))];
  });
  const around = bounds(boxes);
  if (around === null) return null;
  const { x, y, width, height } = grown(around, PADDING);
  return { x, y: y - GROUP_TITLE_HEIGHT + PADDING / 2, width, height: height + GROUP_TITLE_HEIGHT - PADDING / 2 };
}

/** The nodes whose middle stands in a group: they move with it. */
export function nodesInGroup(graph: GraphRecord, definitions: Definitions, group: GroupRecord, document?: Document): NodeId[] {
  return Object.values(graph.nodes)
    .filter((node) => {
      const definition = document === undefined ? definitions.get(node.type) : definitionOf(document, definitions, node, graph.id);
      return contains(group.box, center(nodeBox(node, definition)));
    })
    .map((node) => node.id);
}

export function reroutesInGroup(graph: GraphRecord, group: GroupRecord): RerouteId[] {
  return Object.values(graph.reroutes).filter((one) => contains(group.box, one.pos)).map((one) => one.id);
}

/** Groups that stand wholly in another. */
export function groupsInGroup(graph: GraphRecord, group: GroupRecord): GroupId[] {
  const { box } = group;
  return graph.groups
    .filter((one) => one.id !== group.id && contains(box, [one.box.x, one.box.y]) && contains(box, [one.box.x + one.box.width, one.box.y + one.box.height]))
    .map((one) => one.id);
}

