/** After a reload of the page: the runs of a tab, with their results, go on where they are. */
import { getJob, listJobs, type JobDetails } from "@/api/calls";
import { ApiError } from "@/api/client";
import type { DocumentStore } from "@/graph/store";
import { applyDetails, follow, forgetTab, isOver, resume } from "./follow";
import { rememberedJobs } from "./remember";
import { tabRun } from "./store";

/** Ended jobs that are looked at to find one with results. */
const LOOK_BACK = 3;

export async function restoreRun(tab: string, store?: DocumentStore): Promise<void> {
  const known = rememberedJobs(tab);
  if (known.length === 0 || tabRun(tab).jobId !== null) return;
  try {
    const { jobs } = await listJobs({ status: ["in_progress", "pending"], limit: 200 });
    const open = new Map(jobs.map(({ id, status }) => [id, status]));
    const ended = await lastEnded(known.filter((id) => !open.has(id)));
    if (ended && tabRun(tab).jobId === null) applyDetails(tab, ended);
    for (const id of known.filter((one) => open.has(one))) {
      follow(id, tab, (_id, type) => store?.getState().definitions.get(type)?.outputNode ?? false);
      if (open.get(id) === "in_progress") resume(id);
    }
  } catch (error) {
    if (!(error instanceof ApiError)) throw error; // the server is away: the tab begins without a run
  }
}

async function lastEnded(ids: readonly string[]): Promise<JobDetails | null> {
  for (const id of ids.slice(-LOOK_BACK).reverse()) {
    try {
      const details = await getJob(id);
      if (isOver(details)) return details;
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 404) throw error;
    }
  }
  return null;
}

/** Show a job of the history on a tab: its marks and results. */
export async function showJob(tab: string, job: string): Promise<void> {
  const details = await getJob(job);
  if (isOver(details)) applyDetails(tab, details);
}

export function closeTab(tab: string): void {
  forgetTab(tab);
}
