import * as actions from "@/canvas/actions";
import { activeStore } from "@/workflows/workspace";
import { publishSelected } from "@/workflows/subgraphFiles";
import { hasSelectedNodes, onStore } from "./onStore";
import type { Command } from "./registry";

/** The one selected node, if it is an instance of a subgraph. */
function instanceSelected(): boolean {
  const state = activeStore()?.getState();
  if (!state || !hasSelectedNodes()) return false;
  const graph = state.document.graphs[state.scope.graphId];
  return [...state.selection.nodes].some((id) => {
    const type = graph?.nodes[id]?.type;
    return type !== undefined && type in state.document.graphs;
  });
}

function inside(): boolean {
  return (activeStore()?.getState().scope.path.length ?? 0) > 0;
}

export const subgraphCommands: readonly Command[] = [
  { id: "subgraph.create", title: "Convert selection to subgraph", group: "Subgraph", icon: "box", keys: ["Mod+Shift+E"], when: hasSelectedNodes, run: onStore(actions.toSubgraphSelection) },
  { id: "subgraph.unpack", title: "Unpack subgraph", group: "Subgraph", icon: "ungroup", when: instanceSelected, run: onStore(actions.unpackSelection) },
  { id: "subgraph.enter", title: "Enter subgraph", group: "Subgraph", icon: "enter", when: instanceSelected, run: onStore(actions.enterSelection) },
  { id: "subgraph.leave", title: "Leave subgraph", group: "Subgraph", icon: "leave", keys: ["Escape"], when: inside, run: onStore(actions.leaveSubgraph) },
  { id: "subgraph.publish", title: "Save subgraph to your library…", group: "Subgraph", icon: "share", words: "publish blueprint", when: () => instanceSelected() || inside(), run: () => publishSelected() },
];
