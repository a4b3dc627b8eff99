import type { DragEventHandler, KeyboardEventHandler, ReactNode } from "react";
import type { JobSummary } from "@/api/calls";
import { Icon, Spinner } from "@/app/ui";
import { useWorkspace } from "@/workflows/workspace";
import { useRun } from "@/run/store";
import { useNow } from "./useNow";
import { clock, seconds } from "./times";

interface QueueRowProps {
  job: JobSummary;
  running?: boolean;
  place?: number;
  actions: ReactNode;
  dragging?: boolean;
  dropBefore?: boolean;
  onKeyDown?: KeyboardEventHandler;
  onDragStart?: DragEventHandler;
  onDragEnd?: DragEventHandler;
  onDragOver?: DragEventHandler;
  onDrop?: DragEventHandler;
}

/** One job of the queue. */
export function QueueRow({ job, running, place, actions, dragging, dropBefore, onKeyDown, ...drag }: QueueRowProps) {
  const progress = useRun((state) => (running ? (Object.values(state.tabs).find((run) => run.jobId === job.id)?.progress ?? null) : null));
  const tab = useRun((state) => Object.keys(state.tabs).find((id) => state.tabs[id]?.jobs.includes(job.id)));
  const name = useWorkspace((state) => state.tabs.find(({ id }) => id === tab)?.name) ?? "Job";
  const now = useNow(running ? 1000 : 0);
  const began = job.execution_start_time;
  const shade = [dragging && "is-dragging", dropBefore && "is-target", running && "is-running"].filter(Boolean).join(" ");
  return (
    <li className={`sl-job ${shade}`} draggable={!running} tabIndex={running ? undefined : 0} onKeyDown={onKeyDown} {...drag}>
      <span className="sl-job__mark">{running ? <Spinner size={14} /> : <Icon name="grip" size={14} />}</span>
      <span className="sl-job__text">
        <span className="sl-job__name">
          {name} <code>{job.id.slice(0, 6)}</code>
        </span>
        <span className="sl-job__facts">
          {running && began ? `${progress !== null ? `${Math.round(progress * 100)} %, ` : ""}${seconds((now - began) / 1000)}` : `${place}. in line, queued at ${clock(job.create_time)}`}
        </span>
        {running && progress !== null && (
          <span className="sl-job__bar" role="progressbar" aria-label="Progress of the job" aria-valuenow={Math.round(progress * 100)} aria-valuemin={0} aria-valuemax={100}>
            <span style={{ transform: `scaleX(${progress})` }} />
          </span>
        )}
      </span>
      <span className="sl-job__actions">{actions}</span>
    </li>
  );
}
