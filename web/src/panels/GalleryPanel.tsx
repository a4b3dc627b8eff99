/** Results of all jobs, newest first: they stay over reloads of the page and restarts of the server. */
import { useEffect, useMemo, useRef, useState } from "react";
import type { JobStatus, JobSummary } from "@/api/calls";
import { clearHistory } from "@/api/calls";
import { confirmDialog, EmptyState, IconButton, Segmented, Spinner, toast } from "@/app/ui";
import { refreshQueue } from "@/run/connect";
import { GalleryTile } from "./GalleryTile";
import type { OpenWorkflow } from "./jobWorkflow";
import { useOverlays } from "./overlays";
import { day } from "./times";
import { useJobs } from "./useJobs";
import "./panels.css";

const ENDED: readonly JobStatus[] = ["completed", "failed", "cancelled"];
const GOOD: readonly JobStatus[] = ["completed"];
const BAD: readonly JobStatus[] = ["failed", "cancelled"];
type Filter = "results" | "all" | "failed";
const STATUSES: Record<Filter, readonly JobStatus[]> = { results: GOOD, all: ENDED, failed: BAD };

const FILTERS: { value: Filter; label: string }[] = [
  { value: "results", label: "Results" },
  { value: "failed", label: "Failed" },
  { value: "all", label: "All" },
];

/** Jobs by the day they were made. */
function byDay(jobs: readonly JobSummary[]): [string, JobSummary[]][] {
  const days = new Map<string, JobSummary[]>();
  for (const job of jobs) {
    const name = day(job.execution_end_time ?? job.create_time);
    days.set(name, [...(days.get(name) ?? []), job]);
  }
  return [...days];
}

export function GalleryPanel({ onLoadWorkflow }: { onLoadWorkflow?: OpenWorkflow }) {
  const [filter, setFilter] = useState<Filter>("results");
  const { jobs, more, total, loading, error, loadMore } = useJobs(STATUSES[filter]);
  const chosen = useOverlays((state) => state.chosen);
  const days = useMemo(() => byDay(jobs), [jobs]);

  const clear = async () => {
    const sure = await confirmDialog({
      title: "Clear the history?",
      text: "The list of runs is emptied. The pictures themselves stay in the output folder.",
      confirm: "Clear history",
      danger: true,
    });
    if (!sure) return;
    clearHistory()
      .then(refreshQueue)
      .catch((problem: Error) => toast({ kind: "danger", title: "The history could not be cleared", text: problem.message }));
  };

  return (
    <section className="sl-panel" aria-label="Gallery">
      <div className="sl-panel__bar">
        <Segmented label="Which runs" value={filter} onChange={setFilter} options={FILTERS} />
        <span className="sl-panel__count" />
        <IconButton size="sm" icon="trash" label="Clear the history" disabled={total === 0} onClick={() => void clear()} />
      </div>
      {chosen && (
        <p className="sl-panel__note">
          One picture is chosen: choose a second one to compare.{" "}
          <button type="button" className="sl-textlink" onClick={() => useOverlays.setState({ chosen: null })}>
            Cancel
          </button>
        </p>
      )}
      {error && <p className="sl-panel__note is-bad">{error}</p>}
      <div className="sl-panel__scroll">
        {!loading && jobs.length === 0 && !error && (
          <EmptyState icon="image" title={filter === "failed" ? "Nothing failed" : "No results yet"} text="Press Run: what the workflow makes is kept here." />
        )}
        {days.map(([name, list]) => (
          <section key={name} className="sl-gallery__day">
            <h3>{name}</h3>
            <ul className="sl-gallery">
              {list.map((job) => (
                <GalleryTile key={job.id} job={job} onLoadWorkflow={onLoadWorkflow} />
              ))}
            </ul>
          </section>
        ))}
        {more && <More key={jobs.length} onVisible={loadMore} />}
      </div>
    </section>
  );
}

/** Asks for the next page when it is scrolled into view. */
function More({ onVisible }: { onVisible: () => void }) {
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const element = place.current;
    if (!element) return;
    const observer = new IntersectionObserver(([entry]) => entry?.isIntersecting && onVisible(), { rootMargin: "300px" });
    observer.observe(element);
    return () => observer.disconnect();
  }, [onVisible]);
  return (
    <div ref={place} className="sl-gallery__more">
      <Spinner label="Loading more" />
    </div>
  );
}
