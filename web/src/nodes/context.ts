import { createContext, useContext } from "react";
import { useStore } from "zustand";
import type { NodeDefinition } from "@/graph/definitions";
import { definitionOf } from "@/graph/instances";
import type { DocumentState, DocumentStore } from "@/graph/store";
import type { GraphId, NodeId, NodeRecord } from "@/graph/types";

/** Which node the parts of a node are about: the same widgets serve the canvas, the inspector and the form. */
export interface NodePlace {
  readonly store: DocumentStore;
  readonly graphId: GraphId;
  readonly id: NodeId;
  /** What the node is called in prompts, where that is not told by the graph in view. */
  readonly promptId?: string;
}

export const NodeContext = createContext<NodePlace | null>(null);

export function useNodePlace(): NodePlace {
  const place = useContext(NodeContext);
  if (place === null) throw new Error("A part of a node stands outside of a node.");
  return place;
}

export function recordOf(state: Pick<DocumentState, "document">, { graphId, id }: Omit<NodePlace, "store">): NodeRecord | undefined {
  return state.document.graphs[graphId]?.nodes[id];
}

export function useRecord(): NodeRecord | undefined {
  const place = useNodePlace();
  return useStore(place.store, (state) => recordOf(state, place));
}

/** What the node looks like; undefined if its type is missing. */
export function useDefinition(): NodeDefinition | undefined {
  const place = useNodePlace();
  return useStore(place.store, (state) => {
    const record = recordOf(state, place);
    return record && definitionOf(state.document, state.definitions, record, place.graphId);
  });
}
