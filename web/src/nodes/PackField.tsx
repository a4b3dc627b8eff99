import "./nodes.css";
import { lazy, type ReactNode, Suspense, useMemo } from "react";
import type { InputDefinition } from "@/graph/definitions";
import type { DocumentStore } from "@/graph/store";
import type { GraphId, NodeId } from "@/graph/types";
import { NodeContext, type NodePlace } from "./context";

const PackWidget = lazy(() => import("./widgets/PackWidget").then((module) => ({ default: module.PackWidget })));
const ROW = 28;

interface PackFieldProps {
  readonly store: DocumentStore;
  readonly graphId: GraphId;
  readonly id: NodeId;
  readonly promptId?: string;
  readonly input: InputDefinition;
  /** The field to show when no pack brings a widget for the input. */
  readonly ordinary: ReactNode;
}

/** The widget that a pack brings for an input, outside of the canvas. */
export function PackField({ store, graphId, id, promptId, input, ordinary }: PackFieldProps) {
  const place = useMemo<NodePlace>(() => ({ store, graphId, id, ...(promptId === undefined ? {} : { promptId }) }), [store, graphId, id, promptId]);
  if (input.widget === undefined) return ordinary;
  return (
    <NodeContext.Provider value={place}>
      <Suspense>
        <PackWidget input={input} ordinary={ordinary} bare height={input.height ?? ROW} />
      </Suspense>
    </NodeContext.Provider>
  );
}
