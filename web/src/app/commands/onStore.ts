import type { DocumentStore } from "@/graph/store";
import { activeStore } from "@/workflows/workspace";
import { useShell } from "../shell/shellState";

/** A command's `run` on the document in view. */
export function onStore(act: (store: DocumentStore) => unknown): () => unknown {
  return () => {
    const store = activeStore();
    return store ? act(store) : undefined;
  };
}

/** Whether the graph is in view. */
export function graphInView(): boolean {
  return useShell.getState().view === "graph" && activeStore() !== null;
}

export function hasSelectedNodes(): boolean {
  return graphInView() && (activeStore()?.getState().selection.nodes.size ?? 0) > 0;
}

export function hasSelection(): boolean {
  const selection = activeStore()?.getState().selection;
  return graphInView() && selection !== undefined && Object.values(selection).some((chosen: ReadonlySet<string>) => chosen.size > 0);
}
