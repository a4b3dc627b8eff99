import { currentGraph } from "@/graph/store";
import { useDocument, type Tab } from "@/workflows/workspace";
import { ManySection } from "./ManySection";
import { NodeSection } from "./NodeSection";
import { WorkflowSection } from "./WorkflowSection";

/** Details of what is selected, or of the workflow. */
export function Inspector({ tab }: { tab: Tab }) {
  const { store } = tab;
  const count = useDocument(store, (state) => state.selection.nodes.size);
  const only = useDocument(store, (state) => (state.selection.nodes.size === 1 ? [...state.selection.nodes][0] : undefined));
  const exists = useDocument(store, (state) => only !== undefined && currentGraph(state).nodes[only] !== undefined);
  const graphId = useDocument(store, (state) => state.scope.graphId);
  return (
    <div className="sl-inspector">
      {only !== undefined && exists ? <NodeSection key={`${graphId}/${only}`} store={store} id={only} /> : count > 1 ? <ManySection store={store} /> : <WorkflowSection tab={tab} />}
    </div>
  );
}
