/** What the server finds in a workflow as it is opened: where it would run otherwise than it shows, told before it runs. */
import { convertGraph } from "@/api/calls";
import { ApiError, type NodeErrors } from "@/api/client";
import { toast } from "@/app/ui/toast";
import { saveWorkflow } from "@/graph/save";
import { nodeAt } from "@/graph/scope";
import type { DocumentStore } from "@/graph/store";
import type { Document } from "@/graph/types";
import { forgetProblemsOnEdit } from "@/run/staleErrors";
import { showProblems } from "@/run/submit";

/** A problem of the saved form, as the server lists it. */
interface SavedProblem {
  readonly type: string;
  readonly message: string;
  readonly details?: string;
  readonly hint?: string;
  readonly node_id?: string;
  readonly class_type?: string;
  readonly input_name?: string;
}

const SHOWN = 3;

/** Puts the problems on their nodes and says so. A server that does not answer tells at the run. */
export async function checkSaved(tab: string, name: string, store: DocumentStore): Promise<void> {
  const { document } = store.getState();
  try {
    const answer = await convertGraph(saveWorkflow(document), "prompt");
    const found = (answer.problems as unknown as readonly SavedProblem[]).filter((one) => one.node_id !== undefined);
    if (found.length === 0) return;
    showProblems(tab, byNode(found), null);
    forgetProblemsOnEdit(store, tab);
    tell(name, document, found);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
  }
}

function byNode(problems: readonly SavedProblem[]): NodeErrors {
  const errors: NodeErrors = {};
  for (const { node_id: id = "", class_type = "", input_name, details = "", hint, type, message } of problems) {
    const entry = (errors[id] ??= { errors: [], class_type, dependent_outputs: [] });
    const extra = { ...(input_name === undefined ? {} : { input_name }), ...(hint === undefined ? {} : { hint }) };
    entry.errors.push({ type, message, details, extra_info: extra });
  }
  return errors;
}

function tell(name: string, document: Document, problems: readonly SavedProblem[]): void {
  const lines = problems.slice(0, SHOWN).map(({ node_id: id = "", class_type, input_name, message }) => {
    const title = nodeAt(document, id)?.node.title ?? class_type ?? "";
    return `${title} (node ${id})${input_name === undefined ? "" : `, ${input_name}`}: ${message}`;
  });
  if (problems.length > SHOWN) lines.push(`and ${problems.length - SHOWN} more`);
  toast({ id: "saved-problems", kind: "warning", title: `“${name}” has values that do not run as they are`, text: lines.join("\n") });
}
