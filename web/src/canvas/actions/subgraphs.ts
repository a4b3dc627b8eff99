import { currentGraph, type DocumentStore } from "@/graph/store";
import { toSubgraph, unpackSubgraph } from "@/graph/subgraphs";
import type { NodeId } from "@/graph/types";

export function toSubgraphSelection(store: DocumentStore, name?: string): NodeId | null {
  const state = store.getState();
  const graphId = currentGraph(state).id;
  if (state.selection.nodes.size === 0) return null;
  const made: (NodeId | null)[] = [];
  state.edit("Make subgraph", (draft) => void made.push(toSubgraph(draft, graphId, state.definitions, state.selection, name)));
  const id = made[0] ?? null;
  if (id !== null) store.getState().select({ nodes: [id] });
  return id;
}

export function unpackSelection(store: DocumentStore): void {
  const state = store.getState();
  const graph = currentGraph(state);
  const instances = [...state.selection.nodes].filter((id) => isInstance(store, id));
  const made: NodeId[] = [];
  state.edit("Unpack subgraph", (draft) => {
    for (const id of instances) made.push(...unpackSubgraph(draft, graph.id, state.definitions, id));
  });
  if (made.length > 0) store.getState().select({ nodes: made });
}

export function isInstance(store: DocumentStore, id: NodeId): boolean {
  const state = store.getState();
  const type = currentGraph(state).nodes[id]?.type;
  return type !== undefined && Boolean(state.document.graphs[type]?.subgraph);
}

export function enterSelection(store: DocumentStore): void {
  const [id] = store.getState().selection.nodes;
  if (id !== undefined && isInstance(store, id)) store.getState().enter(id);
}

export function leaveSubgraph(store: DocumentStore): void {
  store.getState().leave();
}
