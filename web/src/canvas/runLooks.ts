import { promptId } from "@/graph/scope";
import type { NodeId } from "@/graph/types";
import { runStore } from "@/run";
import type { CanvasParts } from "./context";
import type { NodeLook } from "./paint/overview";

/** How nodes stand in the tab's run, for the drawn overview and the minimap. */
export function runLooks({ store, tab }: Pick<CanvasParts, "store" | "tab">) {
  const nodesOfRun = () => runStore.getState().tabs[tab]?.nodes;
  return {
    subscribe(listener: () => void): () => void {
      let before = nodesOfRun();
      return runStore.subscribe(() => {
        const now = nodesOfRun();
        if (now === before) return;
        before = now;
        listener();
      });
    },
    get(id: NodeId): NodeLook | null {
      const run = nodesOfRun()?.[promptId(store.getState().scope.path, id)];
      if (run?.state === undefined || run.state === "waiting" || run.state === "skipped") return null;
      return { state: run.state, progress: run.max ? (run.value ?? 0) / run.max : 0 };
    },
  };
}
