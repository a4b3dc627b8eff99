/** What widgets have to do before a run reads their values: send what was painted, take a picture. */
import type { DocumentStore } from "@/graph/store";

/** Says itself what went wrong; a run does not wait for it longer than it takes. */
type Step = () => Promise<void>;

const steps = new Map<DocumentStore, Set<Step>>();

/** Called before each run of a workflow. Returns how to stop that. */
export function beforeRun(store: DocumentStore, step: Step): () => void {
  const known = steps.get(store) ?? new Set();
  steps.set(store, known.add(step));
  return () => {
    known.delete(step);
    if (known.size === 0) steps.delete(store);
  };
}

/** Once all of them are done; at once where there are none. */
export async function madeReady(store: DocumentStore): Promise<void> {
  const known = steps.get(store);
  if (known !== undefined) await Promise.all([...known].map((step) => step()));
}
