/** The workflow of a job of the history, opened in a new tab. */
import { convertGraph, getJob } from "@/api/calls";
import type { JsonObject } from "@/graph/types";
import { toast } from "@/app/ui";
import { showJob } from "@/run/restore";

export type OpenWorkflow = (workflow: JsonObject, name: string) => void;

/** The workflow as it was saved with the job; laid out anew from the prompt when there was none. */
export async function jobWorkflow(jobId: string): Promise<JsonObject> {
  const { workflow } = await getJob(jobId);
  const saved = workflow.extra_data.extra_pnginfo?.workflow;
  if (saved) return saved;
  const converted = await convertGraph(workflow.prompt, "workflow");
  return converted.workflow as JsonObject;
}

export async function loadJob(jobId: string, open?: OpenWorkflow): Promise<void> {
  try {
    const workflow = await jobWorkflow(jobId);
    const name = `Run ${jobId.slice(0, 6)}`;
    if (open) open(workflow, name);
    else {
      const { openWorkflow } = await import("@/workflows/opening");
      const tab = await openWorkflow({ name, json: workflow, unsaved: true });
      if (tab !== null) await showJob(tab, jobId); // with its results and marks
    }
  } catch (error) {
    toast({ kind: "danger", title: "The workflow could not be loaded", text: (error as Error).message });
  }
}
