/** Problems that were found before a run leave a node as soon as the node is edited: they may no longer be true. */
import { nodeAt } from "@/graph/parameters";
import type { DocumentStore } from "@/graph/store";
import { runStore, setTabRun, tabRun } from "./store";
import type { NodeRun } from "./types";

const watched = new Map<string, () => void>();

/** Begin to watch the edits of a tab, until it has no such problems. */
export function forgetProblemsOnEdit(store: DocumentStore, tab: string): void {
  watched.get(tab)?.();
  const stop = store.subscribe(({ document }, before) => {
    if (document === before.document) return;
    const open = withProblems(tab);
    for (const id of open) {
      if (nodeAt(document, id)?.node !== nodeAt(before.document, id)?.node) clearNodeErrors(id, tab);
    }
    if (open.length === 0) {
      stop();
      watched.delete(tab);
    }
  });
  watched.set(tab, stop);
}

function withProblems(tab: string): string[] {
  const { nodes } = tabRun(tab);
  return Object.keys(nodes).filter((id) => nodes[id]?.error?.validation);
}

/** Take the errors off a node (off all nodes when none is named). */
export function clearNodeErrors(id?: string, tab: string = runStore.getState().activeTab): void {
  const { nodes } = tabRun(tab);
  const which = id === undefined ? Object.keys(nodes) : [id];
  if (!which.some((one) => nodes[one]?.error)) return;
  const next = { ...nodes };
  for (const one of which) {
    const node = next[one];
    if (node?.error) next[one] = withoutError(node);
  }
  setTabRun(tab, { nodes: next });
}

export function withoutError(node: NodeRun): NodeRun {
  const rest = { ...node };
  delete rest.error;
  delete rest.errors;
  if (rest.state === "error") delete rest.state;
  return rest;
}
