/** Posting a workflow to the queue. */
import { submitPrompt } from "@/api/calls";
import { ApiError, type NodeErrors } from "@/api/client";
import { jobId } from "@/api/session";
import { applyAfterRun } from "@/graph/edits";
import { isObject } from "@/graph/json";
import { saveWorkflow } from "@/graph/save";
import type { DocumentStore } from "@/graph/store";
import type { JsonObject } from "@/graph/types";
import { madeReady } from "./before";
import { byNode } from "./errors";
import { follow } from "./follow";
import { summarise } from "./frames";
import { rememberJob } from "./remember";
import { forgetProblemsOnEdit, withoutError } from "./staleErrors";
import { bumpQueue, setTabRun, tabRun } from "./store";
import type { NodeError, NodeRun } from "./types";

export interface Submission {
  store: DocumentStore;
  tab: string;
  name?: string;
  /** Prompt ids of the only outputs to compute. */
  targets?: readonly string[];
  /** Before all jobs that wait. */
  front?: boolean;
  /** How many times; seeds change in between as their control says. */
  batch?: number;
  previewMethod?: "auto" | "none" | "latent2rgb" | "taesd";
}

export interface SubmitResult {
  jobs: string[];
  error?: ApiError;
}

/** Queue the workflow of a tab. What the server refuses is shown on the nodes, and is in the result. */
export async function submit(wish: Submission): Promise<SubmitResult> {
  const jobs: string[] = [];
  for (let count = 0; count < Math.max(1, wish.batch ?? 1); count++) {
    try {
      jobs.push(await submitOnce(wish));
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      showProblems(wish.tab, error.nodeErrors, error);
      forgetProblemsOnEdit(wish.store, wish.tab);
      return { jobs, error };
    }
  }
  return { jobs };
}

async function submitOnce({ store, tab, targets, front, previewMethod }: Submission): Promise<string> {
  await madeReady(store);
  const { document, definitions } = store.getState();
  const asked = targets ? new Set(targets) : null;
  // Followed before it is posted: the first messages may be here before the answer is.
  const job = jobId();
  const forget = follow(job, tab, (id, type) => (asked ? asked.has(id) : (definitions.get(type)?.outputNode ?? false)));
  const answer = await submitPrompt({
    prompt: drawnAnew(saveWorkflow(document), store),
    prompt_id: job,
    ...(targets ? { partial_execution_targets: [...targets] } : {}),
    ...(front ? { front } : {}),
    ...(previewMethod ? { extra_data: { preview_method: previewMethod } } : {}),
  }).catch((error: unknown) => {
    forget();
    throw error;
  });
  showProblems(tab, answer.node_errors, null);
  if (Object.keys(answer.node_errors).length > 0) forgetProblemsOnEdit(store, tab);
  store.getState().edit("Seeds after the run", (draft) => applyAfterRun(draft, definitions), { coalesce: "after-run" });
  rememberJob(tab, job);
  bumpQueue();
  return job;
}

const ran = new WeakSet<DocumentStore>();

/**
 * The server draws the choices of texts from a seed that it keeps in the workflow of the results. Run again as it was opened
 * a workflow repeats them; each later run draws anew.
 */
function drawnAnew(workflow: JsonObject, store: DocumentStore): JsonObject {
  const again = ran.has(store);
  ran.add(store);
  const { extra } = workflow;
  const own = isObject(extra) ? extra["safelight"] : undefined;
  if (!again || !isObject(extra) || !isObject(own) || own["text_seed"] === undefined) return workflow;
  const { text_seed: _, ...rest } = own;
  return { ...workflow, extra: { ...extra, safelight: rest } };
}

/** Put problems on the nodes that have them, in place of older ones. */
export function showProblems(tab: string, errors: NodeErrors, refused: ApiError | null): void {
  const found = byNode(errors);
  const nodes: Record<string, NodeRun> = {};
  const changed = new Set(Object.keys(found));
  for (const [id, node] of Object.entries(tabRun(tab).nodes)) {
    nodes[id] = node.error?.validation ? withoutError(node) : node;
    if (node.error?.validation) changed.add(id);
  }
  for (const [id, list] of Object.entries(found)) nodes[id] = { ...nodes[id], state: "error", ...(list[0] ? { error: list[0] } : {}), errors: list };
  summarise(nodes, changed, false);
  const first = Object.entries(found)[0];
  const error: NodeError | null = refused ? { message: refused.message, type: refused.type, validation: true } : null;
  setTabRun(tab, { nodes, ...(error ? { error: { ...error, ...(first ? { node: first[0] } : {}) } } : {}) });
}
