/** Jobs that run and jobs that wait: cancel, reorder, pause, clear. */
import { useState, type DragEvent, type KeyboardEvent } from "react";
import type { JobStatus, JobSummary } from "@/api/calls";
import { Button, confirmDialog, EmptyState, IconButton, toast } from "@/app/ui";
import { cancelJob, clearPending, interruptJob, moveBefore, moveToFront, pause, resume } from "@/run/actions";
import { usePaused } from "@/run/hooks";
import { QueueRow } from "./QueueRow";
import { useJobs } from "./useJobs";
import "./panels.css";

const OPEN: readonly JobStatus[] = ["in_progress", "pending"];

/** Run an action of the queue, and say so when it fails. */
function act(action: Promise<unknown>): void {
  action.catch((error: Error) => toast({ kind: "danger", title: "The queue could not be changed", text: error.message }));
}

/** The order in which jobs will run. */
function inOrder(jobs: readonly JobSummary[]): JobSummary[] {
  return [...jobs].sort((a, b) => (a.priority ?? 0) - (b.priority ?? 0) || a.create_time - b.create_time);
}

export function QueuePanel() {
  const { jobs, error, loading, total } = useJobs(OPEN, 200);
  const paused = usePaused();
  const [dragged, setDragged] = useState<string | null>(null);
  const [over, setOver] = useState<string | null>(null);
  const running = jobs.filter(({ status }) => status === "in_progress");
  const pending = inOrder(jobs.filter(({ status }) => status === "pending"));

  const clear = async () => {
    const sure = await confirmDialog({
      title: "Clear the queue?",
      text: `${pending.length === 1 ? "One job that waits is" : `${pending.length} jobs that wait are`} removed. What runs goes on.`,
      confirm: "Clear",
      danger: true,
    });
    if (sure) act(clearPending());
  };

  /** Moves a job that waits by one place. */
  const step = (index: number, by: -1 | 1) => {
    const job = pending[index];
    const target = by < 0 ? pending[index - 1] : pending[index + 2];
    if (!job || (by < 0 && index === 0) || (by > 0 && index === pending.length - 1)) return;
    act(moveBefore(job.id, target?.id ?? null));
  };
  const onKey = (event: KeyboardEvent, index: number) => {
    if (!event.altKey || (event.key !== "ArrowUp" && event.key !== "ArrowDown")) return;
    event.preventDefault();
    step(index, event.key === "ArrowUp" ? -1 : 1);
  };
  const drop = (event: DragEvent, before: string | null) => {
    event.preventDefault();
    if (dragged && dragged !== before) act(moveBefore(dragged, before));
    setDragged(null);
    setOver(null);
  };

  return (
    <section className="sl-panel" aria-label="Queue">
      <div className="sl-panel__bar">
        <Button size="sm" icon={paused ? "play" : "pause"} variant={paused ? "primary" : "secondary"} onClick={() => act(paused ? resume() : pause())}>
          {paused ? "Resume" : "Pause"}
        </Button>
        <Button size="sm" icon="trash" variant="ghost" disabled={pending.length === 0} onClick={() => void clear()}>
          Clear
        </Button>
        <span className="sl-panel__count">{total > 0 ? `${running.length} running, ${total - running.length} waiting` : ""}</span>
      </div>
      {paused && <p className="sl-panel__note">The queue is paused: jobs wait until you resume, also over a restart of the server.</p>}
      {error && <p className="sl-panel__note is-bad">{error}</p>}
      <div className="sl-panel__scroll">
        {!loading && jobs.length === 0 && !error && <EmptyState icon="queue" title="Nothing waits" text="Jobs are listed here until they are done. Their results are in the gallery." />}
        <ul className="sl-jobs" aria-label="Running">
          {running.map((job) => (
            <QueueRow key={job.id} job={job} running actions={<IconButton size="sm" icon="stop" label="Stop this job" onClick={() => act(interruptJob(job.id))} />} />
          ))}
        </ul>
        <ol className="sl-jobs" aria-label="Waiting. Alt with an arrow key moves a job.">
          {pending.map((job, index) => (
            <QueueRow
              key={job.id}
              job={job}
              place={index + 1}
              dragging={dragged === job.id}
              dropBefore={over === job.id}
              onKeyDown={(event) => onKey(event, index)}
              onDragStart={(event) => {
                event.dataTransfer.effectAllowed = "move";
                event.dataTransfer.setData("text/plain", job.id);
                setDragged(job.id);
              }}
              onDragEnd={() => {
                setDragged(null);
                setOver(null);
              }}
              onDragOver={(event) => {
                if (dragged === null) return;
                event.preventDefault();
                setOver(job.id);
              }}
              onDrop={(event) => drop(event, job.id)}
              actions={
                <>
                  {index > 0 && <IconButton size="sm" icon="arrowUp" label="Run this job next" onClick={() => act(moveToFront(job.id))} />}
                  <IconButton size="sm" icon="close" label="Cancel this job" onClick={() => act(cancelJob(job.id))} />
                </>
              }
            />
          ))}
        </ol>
        {dragged !== null && (
          <div className="sl-jobs__end" onDragOver={(event) => event.preventDefault()} onDrop={(event) => drop(event, null)}>
            Move to the end
          </div>
        )}
      </div>
    </section>
  );
}
