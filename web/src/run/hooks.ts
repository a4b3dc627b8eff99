/** How parts of the page read runs. Each hook takes as little as it can, so that little is drawn again. */
import { useEffect } from "react";
import { useShallow } from "zustand/react/shallow";
import type { Connection } from "@/api/socket";
import { runStore, useRun } from "./store";
import { NO_RUN, type JobRun, type NodeRun, type RunState } from "./types";

const activeRun = (state: RunState) => state.tabs[state.activeTab] ?? NO_RUN;

/** How a node of the shown tab stands; ids are those of the prompt form (`5`, `5:12`). */
export function useNodeRun(promptId: string): NodeRun | undefined {
  return useRun((state) => activeRun(state).nodes[promptId]);
}

/** One value of a node's run: for parts that need not be drawn at every step. */
export function useNodeRunPart<T>(promptId: string, part: (node: NodeRun | undefined) => T): T {
  return useRun((state) => part(activeRun(state).nodes[promptId]));
}

/** "reused", "ran 1.2 s", or null when the node has not run. */
export function useRunMark(promptId: string): string | null {
  return useRun((state) => runMark(activeRun(state).nodes[promptId]));
}

export function runMark(node: NodeRun | undefined): string | null {
  if (node?.state === "reused") return "reused";
  if (node?.state !== "finished") return null;
  return node.seconds === undefined ? "ran" : `ran ${duration(node.seconds)}`;
}

export function duration(seconds: number): string {
  if (seconds < 0.001) return "0 ms";
  if (seconds < 0.1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  const minutes = Math.floor(seconds / 60);
  return `${minutes} min ${Math.round(seconds % 60)} s`;
}

/** The run of the shown tab as a whole. */
export function useJobRun(): JobRun {
  return useRun(
    useShallow((state) => {
      const { jobId, status, progress, currentNode, error, startedAt, endedAt } = activeRun(state);
      return { jobId, status, progress, currentNode, error, startedAt, endedAt };
    }),
  );
}

/** The job whose values the links of the shown tab carry: the last one that began. */
export function useShownJob(): string | null {
  return useRun((state) => (activeRun(state).status === "queued" ? null : activeRun(state).jobId));
}

export function useQueueCount(): { pending: number; running: number } {
  return useRun((state) => state.queue);
}

export function usePaused(): boolean {
  return useRun((state) => state.paused);
}

export function useConnection(): Connection {
  return useRun((state) => state.connection);
}

/** Keeps the title of the page: how far the run is, what runs, and the workflow's name. */
export function useTitleProgress(title: string, nodeTitle?: (promptId: string) => string | undefined): void {
  useEffect(() => {
    const show = (): void => {
      const next = titleOf(activeRun(runStore.getState()), title, nodeTitle);
      if (document.title !== next) document.title = next; // setting it costs, also when nothing changes
    };
    show();
    return runStore.subscribe(show);
  }, [title, nodeTitle]);
}

export function titleOf(run: JobRun, title: string, nodeTitle?: (promptId: string) => string | undefined): string {
  if (run.status === "queued") return `[queued] ${title}`;
  if (run.status !== "running") return title;
  const node = run.currentNode === null ? undefined : nodeTitle?.(run.currentNode);
  return `[${Math.round(run.progress * 100)}%] ${node ? `${node} · ` : ""}${title}`;
}
