import { useState } from "react";
import { viewUrl } from "@/api/calls";
import { useSetting } from "@/app/settings/settings";
import { openLightbox } from "@/panels/overlays";
import type { MediaFile, NodeOutputs } from "@/run";
import { scrollsWhenFocused } from "../scrolling";
import { columns } from "./columns";

interface ShownProps {
  readonly outputs: NodeOutputs;
  /** The job that they are of. */
  readonly job: string | undefined;
  /** Height of a picture or video as a share of its width. */
  readonly onAspect: (aspect: number) => void;
}

/** Pictures, videos, sounds, texts and files on a node. */
export function Shown({ outputs, job, onAspect }: ShownProps) {
  return (
    <>
      {outputs.images.length > 0 && <Pictures files={outputs.images} job={job} onAspect={onAspect} />}
      <Others outputs={outputs} onAspect={onAspect} />
    </>
  );
}

interface PicturesProps {
  readonly files: readonly MediaFile[];
  readonly job: string | undefined;
  readonly onAspect: (aspect: number) => void;
}

function Pictures({ files, job, onAspect }: PicturesProps) {
  const showSize = useSetting("previews.imageSize");
  const [size, setSize] = useState("");
  const items = files.map((file) => ({ ...file, ...(job ? { jobId: job } : {}) }));
  const across = columns(files.length);
  return (
    <div className="sl-preview-grid" style={{ gridTemplateColumns: `repeat(${across}, 1fr)` }}>
      {files.map((file, index) => (
        <Picture
          key={`${file.subfolder}/${file.filename}`}
          file={file}
          job={job}
          onOpen={() => openLightbox(items, index)}
          onSize={(image) => {
            onAspect(image.naturalWidth > 0 ? image.naturalHeight / image.naturalWidth : 1);
            setSize(`${image.naturalWidth} × ${image.naturalHeight}`);
          }}
        />
      ))}
      {showSize && size && <span className="sl-preview-size">{size}</span>}
    </div>
  );
}

interface PictureProps {
  readonly file: MediaFile;
  readonly job: string | undefined;
  readonly onOpen: () => void;
  readonly onSize: (image: HTMLImageElement) => void;
}

function Picture({ file, job, onOpen, onSize }: PictureProps) {
  const [gone, setGone] = useState(false);
  if (gone) return <p className="sl-preview-gone">{file.filename} is not on the server.</p>;
  return (
    <button type="button" className="sl-preview-picture" aria-label={`Show ${file.filename} full screen`} onClick={onOpen}>
      <img
        src={viewUrl(file, { preview: file.animated ? false : "webp;85", ...(job ? { version: job } : {}) })}
        alt={file.filename}
        draggable={false}
        loading="lazy"
        decoding="async"
        onError={() => setGone(true)}
        onLoad={(event) => onSize(event.currentTarget)}
      />
    </button>
  );
}

function Others({ outputs, onAspect }: { outputs: NodeOutputs; onAspect: (aspect: number) => void }) {
  return (
    <>
      {[...outputs.video, ...outputs.audio].map((file) => (
        <Player key={`${file.type}/${file.subfolder}/${file.filename}`} file={file} onAspect={onAspect} />
      ))}
      {outputs.text.length > 0 && (
        <pre className="sl-preview-text nodrag" tabIndex={0} {...scrollsWhenFocused}>
          {outputs.text.join("\n")}
        </pre>
      )}
      {outputs.files.map((file) => (
        <a key={file.filename} className="sl-preview-file" href={viewUrl(file)} download={file.filename}>
          {file.filename}
        </a>
      ))}
    </>
  );
}

function Player({ file, onAspect }: { file: MediaFile; onAspect: (aspect: number) => void }) {
  const [gone, setGone] = useState(false);
  if (gone) return <p className="sl-preview-gone">{file.filename} is not on the server, or cannot be played here.</p>;
  const told = { src: viewUrl(file), controls: true, preload: "metadata", className: "nodrag", "aria-label": file.filename, onError: () => setGone(true) } as const;
  if (file.media === "audio") return <audio {...told} />;
  return <video {...told} loop muted playsInline onLoadedMetadata={({ currentTarget: { videoWidth, videoHeight } }) => videoWidth > 0 && onAspect(videoHeight / videoWidth)} />;
}
