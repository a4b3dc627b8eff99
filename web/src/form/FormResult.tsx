/** The result beside the form: what the outputs show, the picture that is being made, or what went wrong. */
import { useMemo } from "react";
import { useStore } from "zustand";
import { useShallow } from "zustand/react/shallow";
import { viewUrl } from "@/api/calls";
import { Button, EmptyState } from "@/app/ui";
import { listOutputs } from "@/graph/parameters";
import type { DocumentStore } from "@/graph/store";
import { openErrorReport, openLightbox } from "@/panels/overlays";
import { useJobRun } from "@/run/hooks";
import { allFiles } from "@/run/outputs";
import { useRun } from "@/run/store";
import { NO_RUN, type MediaFile } from "@/run/types";

export function FormResult({ store }: { store: DocumentStore }) {
  const run = useJobRun();
  const marks = useStore(store, useShallow((state) => listOutputs(state.document).map(({ node }) => node)));
  const nodes = useRun((state) => (state.tabs[state.activeTab] ?? NO_RUN).nodes);
  const preview = useRun((state) => Object.values((state.tabs[state.activeTab] ?? NO_RUN).nodes).find((node) => node.preview)?.preview);
  const { files, text } = useMemo(() => {
    const wanted = marks.length > 0 ? new Set(marks) : null;
    const found = Object.entries(nodes).filter(([id, node]) => node.outputs && (wanted ? wanted.has(id) : !isInstanceOf(id, nodes)));
    const outputs = found.map(([, node]) => node.outputs).filter((one) => one !== undefined);
    return { files: outputs.flatMap(allFiles), text: outputs.flatMap((one) => one.text) };
  }, [nodes, marks]);

  const active = run.status === "running" || run.status === "queued";
  return (
    <section className="sl-form__result" aria-label="Result" aria-busy={active}>
      {run.error && !active && (
        <div className="sl-form__error" role="alert">
          <p>{run.error.message}</p>
          {run.error.hint && <p className="sl-form__hint">{run.error.hint}</p>}
          {run.status === "failed" && (
            <Button size="sm" onClick={() => openErrorReport()}>
              What happened
            </Button>
          )}
        </div>
      )}
      {active && preview ? (
        <img className="sl-form__preview" src={preview} alt="The picture so far" />
      ) : files.length > 0 ? (
        <div className={`sl-form__files ${files.length === 1 ? "is-one" : ""} ${active ? "is-old" : ""}`}>
          {files.map((file, index) => (
            <ResultFile key={`${file.subfolder}/${file.filename}`} file={file} version={run.jobId ?? ""} onOpen={() => openLightbox(files, index)} />
          ))}
        </div>
      ) : (
        !run.error && text.length === 0 && <EmptyState icon="image" title={active ? "Working…" : "The result stands here"} text={active ? undefined : "Set the fields and press Run."} />
      )}
      {text.length > 0 && <pre className="sl-form__words">{text.join("\n\n")}</pre>}
    </section>
  );
}

function isInstanceOf(id: string, nodes: Readonly<Record<string, unknown>>): boolean {
  const prefix = `${id}:`;
  return Object.keys(nodes).some((other) => other.startsWith(prefix));
}

function ResultFile({ file, version, onOpen }: { file: MediaFile; version: string; onOpen: () => void }) {
  // Temporary pictures of different runs may have the same name.
  const url = viewUrl(file, { version });
  if (file.media === "video") return <video src={url} controls loop autoPlay muted aria-label={file.filename} />;
  if (file.media === "audio") return <audio src={url} controls aria-label={file.filename} />;
  if (file.media === "file") {
    return (
      <a className="sl-textlink" href={url} download={file.filename}>
        {file.filename}
      </a>
    );
  }
  return (
    <button type="button" className="sl-form__picture" aria-label={`Show ${file.filename} in full screen`} onClick={onOpen}>
      <img src={url} alt="" decoding="async" />
    </button>
  );
}
