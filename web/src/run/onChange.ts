/** Run on change: a workflow is queued again a moment after what it computes was edited. */
import type { Document } from "@/graph/types";
import { runStore, tabRun } from "./store";
import { submit, type Submission } from "./submit";

export const DELAY_MS = 600;

/** Begin; the returned function ends it. While a run goes on, the next one waits for its end. */
export function startRunOnChange(wish: Omit<Submission, "batch">, delay = DELAY_MS): () => void {
  const { store, tab } = wish;
  let seen = meaning(store.getState().document);
  let timer: ReturnType<typeof setTimeout> | null = null;
  let wanted = false;

  const run = async (): Promise<void> => {
    const now = meaning(store.getState().document);
    if (now === seen) return;
    if (busy(tab)) {
      wanted = true;
      return;
    }
    wanted = false;
    seen = now;
    await submit({ ...wish, batch: 1 });
    seen = meaning(store.getState().document); // seeds that changed after the run start no other
  };
  const soon = (): void => {
    if (timer) clearTimeout(timer);
    timer = setTimeout(() => void run(), delay);
  };
  const stopEdits = store.subscribe((state, before) => {
    if (state.document !== before.document) soon();
  });
  const stopRuns = runStore.subscribe(() => {
    if (wanted && !busy(tab)) soon();
  });
  return () => {
    if (timer) clearTimeout(timer);
    stopEdits();
    stopRuns();
  };
}

function busy(tab: string): boolean {
  const { status } = tabRun(tab);
  return status === "running" || status === "queued";
}

/** A text that changes when, and only when, what the workflow computes may have changed: no places, sizes or colours. */
export function meaning(document: Document): string {
  const parts: unknown[] = [];
  for (const graph of Object.values(document.graphs)) {
    const nodes = Object.values(graph.nodes).map(({ id, type, mode, values, properties }) => [id, type, mode, values, properties["proxyWidgets"]]);
    const links = Object.values(graph.links).map(({ from, fromSlot, to, toSlot }) => [from, fromSlot, to, toSlot]);
    parts.push([graph.id, nodes, links]);
  }
  return JSON.stringify(parts);
}
