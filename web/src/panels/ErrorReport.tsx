/** What failed, what to do about it, and a report to copy. */
import { useEffect, useState } from "react";
import { getJob, logs, systemStats, type JobDetails } from "@/api/calls";
import { Button, Dialog, toast } from "@/app/ui";
import { fromExecution } from "@/run/errors";
import { runStore } from "@/run/store";
import type { NodeError } from "@/run/types";
import { loadJob } from "./jobWorkflow";
import { useOverlays } from "./overlays";
import { reportText, type Report } from "./report";
import "./panels.css";

/** The report of `jobId`, or of the shown tab's last run. */
function useReport(jobId: string | null): Report {
  const [report, setReport] = useState<Report>({ job: null, stats: null, log: [] });
  useEffect(() => {
    const { tabs, activeTab } = runStore.getState();
    const id = jobId ?? tabs[activeTab]?.jobId ?? null;
    let gone = false;
    const add = (part: Partial<Report>) => gone || setReport((before) => ({ ...before, ...part }));
    const ignore = () => undefined; // a report without one of its parts still helps
    if (id) getJob(id).then((job) => add({ job })).catch(ignore);
    systemStats().then((stats) => add({ stats })).catch(ignore);
    logs().then((log) => add({ log })).catch(ignore);
    return () => {
      gone = true;
    };
  }, [jobId]);
  return report;
}

function errorOf(job: JobDetails | null): (NodeError & { node?: string; nodeType?: string }) | null {
  const { tabs, activeTab } = runStore.getState();
  const found = job?.execution_error;
  if (found) return { ...fromExecution(found), node: found.node_id, nodeType: found.node_type };
  return job ? null : (tabs[activeTab]?.error ?? null);
}

export function ErrorReport({ open, onOpenChange, jobId = null }: { open: boolean; onOpenChange: (open: boolean) => void; jobId?: string | null }) {
  return open ? <Opened onOpenChange={onOpenChange} jobId={jobId} /> : null;
}

function Opened({ onOpenChange, jobId }: { onOpenChange: (open: boolean) => void; jobId: string | null }) {
  const report = useReport(jobId);
  const error = errorOf(report.job);
  const text = reportText(report);
  const copy = () => {
    navigator.clipboard
      .writeText(text)
      .then(() => toast({ kind: "success", title: "Report copied" }))
      .catch(() => toast({ kind: "warning", title: "The report could not be copied", text: "Select the text below and copy it." }));
  };
  const title = error?.nodeType ? `${error.nodeType} failed` : error ? "The run failed" : "Report";
  return (
    <Dialog
      open
      onOpenChange={onOpenChange}
      size="lg"
      title={title}
      description={error?.node ? `Node ${error.node}${error.type ? `, ${error.type}` : ""}` : undefined}
      footer={
        <>
          {report.job && (
            <Button icon="workflow" variant="ghost" onClick={() => report.job && void loadJob(report.job.id)}>
              Load this workflow
            </Button>
          )}
          <Button icon="copy" onClick={copy}>
            Copy report
          </Button>
          <Button variant="primary" onClick={() => onOpenChange(false)}>
            Close
          </Button>
        </>
      }
    >
      <div className="sl-report">
        {error ? <p className="sl-report__message">{error.message}</p> : <p>Nothing failed in the last run. The report tells of versions and the log.</p>}
        {error?.details && <pre className="sl-report__details">{error.details}</pre>}
        {error?.hint && (
          <p className="sl-report__hint">
            <strong>What to do: </strong>
            {error.hint}
          </p>
        )}
        <details>
          <summary>The whole report: inputs, traceback, versions, log</summary>
          <pre className="sl-report__text" tabIndex={0}>
            {text}
          </pre>
        </details>
      </div>
    </Dialog>
  );
}

/** The report that `openErrorReport` asked for. */
export function ReportView() {
  const asked = useOverlays((state) => state.report);
  return <ErrorReport open={asked !== undefined} onOpenChange={(open) => open || useOverlays.setState({ report: undefined })} jobId={asked ?? null} />;
}
