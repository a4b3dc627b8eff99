/** Commands on what is selected. Each is one step of the history. */
import { getSetting } from "@/app/settings/settings";
import { type Alignment, align, arrange, distribute, fitGroup, groupAround, moveItems, removeItems, resetSize as resetNodeSize, setCollapsed, setColor as paintNodes, setPinned, snap, toggleMode, updateGroup } from "@/graph/edits";
import { promptId } from "@/graph/scope";
import { currentGraph, type DocumentStore } from "@/graph/store";
import { definitionOf } from "@/graph/instances";
import { MODE_BYPASSED, MODE_MUTED, type NodeId } from "@/graph/types";
import { COLORS, type ColorName } from "./colors";

function chosen(store: DocumentStore) {
  const state = store.getState();
  return { ...state, graphId: currentGraph(state).id, graph: currentGraph(state), nodes: [...state.selection.nodes] };
}

export function deleteSelection(store: DocumentStore, { reconnect = getSetting("nodes.reconnectOnDelete") }: { reconnect?: boolean } = {}): void {
  const { edit, selection, graphId } = chosen(store);
  const count = selection.nodes.size + selection.links.size + selection.groups.size + selection.reroutes.size;
  if (count > 0) edit("Delete", (draft) => removeItems(draft, graphId, selection, { reconnect }));
}

export function selectAll(store: DocumentStore): void {
  store.getState().selectAll();
}

export function toggleMute(store: DocumentStore): void {
  const { edit, graphId, nodes } = chosen(store);
  if (nodes.length > 0) edit("Mute", (draft) => toggleMode(draft, graphId, nodes, MODE_MUTED));
}

export function toggleBypass(store: DocumentStore): void {
  const { edit, graphId, nodes } = chosen(store);
  if (nodes.length > 0) edit("Bypass", (draft) => toggleMode(draft, graphId, nodes, MODE_BYPASSED));
}

export function toggleCollapse(store: DocumentStore): void {
  const { edit, graph, graphId, nodes } = chosen(store);
  const collapse = nodes.some((id) => !graph.nodes[id]?.collapsed);
  if (nodes.length > 0) edit(collapse ? "Collapse" : "Expand", (draft) => setCollapsed(draft, graphId, nodes, collapse));
}

export function togglePin(store: DocumentStore): void {
  const { edit, graph, graphId, nodes, selection } = chosen(store);
  const groups = graph.groups.filter((group) => selection.groups.has(group.id));
  const pin = nodes.some((id) => !graph.nodes[id]?.pinned) || groups.some((group) => !group.pinned);
  if (nodes.length + groups.length === 0) return;
  edit(pin ? "Pin" : "Unpin", (draft) => {
    setPinned(draft, graphId, nodes, pin);
    for (const group of groups) updateGroup(draft, graphId, group.id, { pinned: pin });
  });
}

/** Null takes the colour away. */
export function setColor(store: DocumentStore, name: ColorName | null): void {
  const { edit, graphId, nodes, selection } = chosen(store);
  const colors = name === null ? null : COLORS[name];
  if (nodes.length + selection.groups.size === 0) return;
  edit("Color", (draft) => {
    paintNodes(draft, graphId, nodes, colors && { color: colors.color, bgcolor: colors.bgcolor });
    for (const id of selection.groups) updateGroup(draft, graphId, id, { color: colors?.group ?? null });
  });
}

export function groupSelection(store: DocumentStore): void {
  const { edit, graphId, nodes, definitions, select } = chosen(store);
  const made: (string | null)[] = [];
  if (nodes.length === 0) return;
  edit("Group", (draft) => void made.push(groupAround(draft, graphId, definitions, nodes)));
  if (made[0]) select({ groups: [made[0]] });
}

export function fitGroups(store: DocumentStore): void {
  const { edit, graphId, definitions, selection } = chosen(store);
  edit("Fit group", (draft) => {
    for (const id of selection.groups) fitGroup(draft, graphId, definitions, id);
  });
}

export function alignSelection(store: DocumentStore, side: Alignment): void {
  const { edit, graphId, definitions, nodes } = chosen(store);
  if (nodes.length > 1) edit("Align", (draft) => align(draft, graphId, definitions, nodes, side));
}

export function distributeSelection(store: DocumentStore, axis: "horizontal" | "vertical"): void {
  const { edit, graphId, definitions, nodes } = chosen(store);
  if (nodes.length > 2) edit("Distribute", (draft) => distribute(draft, graphId, definitions, nodes, axis));
}

export function snapSelection(store: DocumentStore): void {
  const { edit, graphId, nodes } = chosen(store);
  edit("Snap to grid", (draft) => snap(draft, graphId, nodes, getSetting("canvas.gridSize")));
}

/** Lays out the selected nodes, or all of them, from left to right. */
export function arrangeGraph(store: DocumentStore): void {
  const { edit, graphId, definitions, nodes } = chosen(store);
  edit("Arrange", (draft) => arrange(draft, graphId, definitions, nodes.length > 1 ? nodes : undefined));
}

export function moveSelection(store: DocumentStore, dx: number, dy: number): void {
  const { edit, graph, graphId, selection, nodes } = chosen(store);
  const free = nodes.filter((id) => !graph.nodes[id]?.pinned);
  edit("Move", (draft) => moveItems(draft, graphId, { ...selection, nodes: free }, [dx, dy]), { coalesce: "nudge" });
}

export function resetSize(store: DocumentStore): void {
  const { edit, graphId, definitions, nodes } = chosen(store);
  edit("Reset size", (draft) => resetNodeSize(draft, graphId, definitions, nodes));
}

/** Prompt ids of the selected nodes that give results. */
export function selectedOutputNodes(store: DocumentStore): string[] {
  const { graph, graphId, document, definitions, nodes, scope } = chosen(store);
  const gives = (id: NodeId): boolean => {
    const node = graph.nodes[id];
    return node !== undefined && Boolean(definitionOf(document, definitions, node, graphId)?.outputNode);
  };
  return nodes.filter(gives).map((id) => promptId(scope.path, id));
}
