import "./nodes.css";
import { useMemo } from "react";
import { useStore } from "zustand";
import { inputOf } from "@/graph/definitions";
import { definitionOf } from "@/graph/instances";
import type { DocumentStore } from "@/graph/store";
import type { GraphId, NodeId } from "@/graph/types";
import { NodeContext, recordOf } from "./context";
import { Widget } from "./widgets/Widget";

interface NodeWidgetProps {
  readonly store: DocumentStore;
  readonly graphId: GraphId;
  readonly nodeId: NodeId;
  readonly name: string;
}

/** The control of one input of a node, outside of the canvas. */
export function NodeWidget({ store, graphId, nodeId, name }: NodeWidgetProps) {
  const place = useMemo(() => ({ store, graphId, id: nodeId }), [store, graphId, nodeId]);
  const input = useStore(store, (state) => {
    const record = recordOf(state, place);
    return record && inputOf(definitionOf(state.document, state.definitions, record, graphId), name);
  });
  if (input === undefined) return null;
  return (
    <NodeContext.Provider value={place}>
      <Widget input={input} />
    </NodeContext.Provider>
  );
}
