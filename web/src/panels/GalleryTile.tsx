import { useMemo } from "react";
import { deleteHistory, getJob, viewUrl, type JobDetails, type JobSummary } from "@/api/calls";
import { ContextMenu, Icon, IconButton, Menu, toast, type IconName, type MenuItem } from "@/app/ui";
import { refreshQueue } from "@/run/connect";
import { allFiles, mediaOf, readOutputs } from "@/run/outputs";
import { duration } from "@/run/hooks";
import { downloadFile } from "./download";
import { loadJob, type OpenWorkflow } from "./jobWorkflow";
import { chooseForCompare, openErrorReport, openLightbox, useOverlays, type LightboxItem } from "./overlays";
import { clock } from "./times";

const ICONS: Record<string, IconName> = { video: "film", audio: "audio", file: "file" };

/** Files that a job made, the saved ones before the temporary ones. */
export function filesOf(job: JobDetails): LightboxItem[] {
  const files = Object.values(job.outputs).flatMap((output) => allFiles(readOutputs(output)));
  return [...files.filter(({ type }) => type === "output"), ...files.filter(({ type }) => type !== "output")].map((file) => ({
    ...file,
    jobId: job.id,
  }));
}

export function GalleryTile({ job, onLoadWorkflow }: { job: JobSummary; onLoadWorkflow?: OpenWorkflow | undefined }) {
  const shown = useMemo((): LightboxItem | null => {
    const file = job.preview_output;
    return file ? { ...file, media: mediaOf(file.filename, file.mediaType), jobId: job.id } : null;
  }, [job.preview_output, job.id]);
  const chosen = useOverlays((state) => state.chosen);
  const label = labelOf(job);

  const open = async () => {
    if (job.status === "failed") {
      openErrorReport(job.id);
      return;
    }
    try {
      const files = filesOf(await getJob(job.id));
      if (files.length > 0) openLightbox(files, Math.max(0, files.findIndex(({ filename }) => filename === shown?.filename)));
      else await loadJob(job.id, onLoadWorkflow);
    } catch (error) {
      toast({ kind: "danger", title: "The run could not be opened", text: (error as Error).message });
    }
  };
  const remove = () => {
    deleteHistory([job.id])
      .then(refreshQueue)
      .catch((error: Error) => toast({ kind: "danger", title: "The run could not be deleted", text: error.message }));
  };
  const items = (): MenuItem[] => [
    { label: "Open", icon: "fullscreen", onSelect: () => void open() },
    { label: "Load this workflow", icon: "workflow", onSelect: () => void loadJob(job.id, onLoadWorkflow) },
    ...(shown
      ? ([
          { label: "Open in a new browser tab", icon: "external", onSelect: () => window.open(viewUrl(shown), "_blank", "noopener") },
          { label: "Download", icon: "download", onSelect: () => downloadFile(shown) },
          { label: chosen ? "Compare with the chosen one" : "Choose for comparing", icon: "compare", onSelect: () => chooseForCompare(shown), disabled: shown.media !== "image" },
        ] satisfies MenuItem[])
      : []),
    ...(job.status === "failed" ? ([{ label: "Error report", icon: "error", onSelect: () => openErrorReport(job.id) }] satisfies MenuItem[]) : []),
    "separator",
    { label: "Delete from the history", icon: "trash", danger: true, onSelect: remove },
  ];

  return (
    <ContextMenu items={items}>
      <li className={`sl-tile is-${job.status} ${chosen?.jobId === job.id ? "is-chosen" : ""}`}>
        <button type="button" className="sl-tile__picture" aria-label={label} onClick={() => void open()}>
          <TilePicture job={job} file={shown} />
        </button>
        <span className="sl-tile__facts">
          {clock(job.execution_end_time ?? job.create_time)}
          {took(job)}
        </span>
        {(job.outputs_count ?? 0) > 1 && (
          <span className="sl-tile__badge" title={`${job.outputs_count} files`}>
            {job.outputs_count}
          </span>
        )}
        <span className="sl-tile__menu">
          <Menu items={items} align="end" trigger={<IconButton size="sm" icon="more" label={`Actions for ${label}`} />} />
        </span>
      </li>
    </ContextMenu>
  );
}

function TilePicture({ job, file }: { job: JobSummary; file: LightboxItem | null }) {
  if (job.status === "failed") return <TileText icon="error" text={job.execution_error?.exception_message.split("\n")[0] ?? "Failed"} />;
  if (job.status === "cancelled" && !file) return <TileText icon="ban" text="Cancelled" />;
  if (!file) return <TileText icon="text" text={`${job.outputs_count ?? 0} results`} />;
  if (file.media === "image") return <img src={viewUrl(file, { preview: true })} alt="" loading="lazy" decoding="async" draggable={false} />;
  if (file.media === "video") return <video src={`${viewUrl(file)}#t=0.1`} preload="metadata" muted playsInline />;
  return <TileText icon={ICONS[file.media] ?? "file"} text={file.filename} />;
}

function TileText({ icon, text }: { icon: IconName; text: string }) {
  return (
    <span className="sl-tile__text">
      <Icon name={icon} size={20} />
      <span>{text}</span>
    </span>
  );
}

function took(job: JobSummary): string {
  const { execution_start_time: start, execution_end_time: end } = job;
  return start && end ? `, ${duration((end - start) / 1000)}` : "";
}

function labelOf(job: JobSummary): string {
  const what = job.status === "failed" ? "failed run" : job.status === "cancelled" ? "cancelled run" : (job.preview_output?.filename ?? "run");
  return `${what} of ${clock(job.execution_end_time ?? job.create_time)}`;
}
