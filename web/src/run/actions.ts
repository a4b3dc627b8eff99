/** What people do to jobs. Each may throw ApiError. */
import * as api from "@/api/calls";
import { refreshQueue } from "./connect";
import { finish, tabOf } from "./follow";
import { runStore, tabRun } from "./store";

export { startRunOnChange } from "./onChange";
export { closeTab, restoreRun, showJob } from "./restore";
export { setActiveTab } from "./store";
export { clearNodeErrors } from "./staleErrors";
export { submit } from "./submit";

/** Stop what runs: the job of the shown tab if it runs, else whatever does. */
export async function interruptActive(): Promise<void> {
  const run = tabRun(runStore.getState().activeTab);
  await api.interrupt(run.status === "running" && run.jobId ? run.jobId : undefined);
}

export const interruptJob = (id: string): Promise<undefined> => api.interrupt(id);

/** Take a job that waits out of the queue, or stop one that runs. */
export async function cancelJob(id: string): Promise<void> {
  await api.cancelJob(id);
  await changed([id]);
}

/** Take every job that waits out of the queue. */
export async function clearPending(): Promise<void> {
  const { pending } = await api.getQueue();
  await api.clearQueue();
  await changed(pending.map(({ id }) => id));
}

export async function moveToFront(id: string): Promise<void> {
  await api.moveJobs([id], { front: true });
  await refreshQueue();
}

/** Put a job that waits before another one; null: to the end. */
export async function moveBefore(id: string, before: string | null): Promise<void> {
  await api.moveJobs([id], before === null ? {} : { before });
  await refreshQueue();
}

export async function pause(): Promise<void> {
  const { paused } = await api.pauseQueue();
  runStore.setState({ paused });
}

export async function resume(): Promise<void> {
  const { paused } = await api.resumeQueue();
  runStore.setState({ paused });
}

async function changed(ids: readonly string[]): Promise<void> {
  await Promise.all(ids.filter((id) => tabOf(id) !== undefined).map(finish));
  await refreshQueue();
}
