import { memo, useEffect, useState } from "react";
import { viewUrl } from "@/api/calls";
import { useSetting } from "@/app/settings/settings";
import { useCanvas } from "@/canvas/context";
import type { SceneNode } from "@/canvas/scene";
import { widgetValue } from "@/graph/widgets";
import { openLightbox } from "@/panels/overlays";
import { useNodeRunPart, type MediaFile, type NodeOutputs } from "@/run";
import { fileNamed } from "./fileNames";
import { scrollsWhenFocused } from "./scrolling";
import { usePromptId } from "./usePromptId";

const NOTHING: readonly MediaFile[] = [];

/** What a run gave on this node, the live picture while it works, or the file that is chosen in it. */
export const NodePreview = memo(function NodePreview({ node }: { node: SceneNode }) {
  const prompt = usePromptId(node.id);
  const live = useSetting("previews.live");
  const preview = useNodeRunPart(prompt, (run) => (live && run?.state === "running" ? run.preview : undefined));
  const outputs = useNodeRunPart(prompt, (run) => run?.outputs);
  const job = useNodeRunPart(prompt, (run) => run?.outputsJob);
  const chosen = chosenFile(node);
  const ran = !isEmpty(outputs);
  const shown = ran ? outputs : chosen === null ? undefined : alone(chosen);
  const empty = preview === undefined && shown === undefined;
  const [aspect, setAspect] = useState<number | null>(null);
  const wanted = empty ? 0 : wantedHeight(node.width, shown, aspect, preview !== undefined);
  useWantedHeight(node.id, wanted);
  const place = node.geometry.preview;
  if (empty || place === null) return null;
  const files = shown?.images ?? NOTHING;
  return (
    <div className="sl-preview nodrag" style={{ top: place.y, height: place.height }}>
      {preview !== undefined ? (
        <img className="sl-preview-live" src={preview} alt="Picture so far" draggable={false} onLoad={(event) => setAspect(aspectOf(event.currentTarget))} />
      ) : (
        <>
          {files.length > 0 && <Pictures files={files} job={ran ? job : undefined} onAspect={setAspect} />}
          {shown && <Others outputs={shown} onAspect={setAspect} />}
        </>
      )}
    </div>
  );
});

function isEmpty(outputs: NodeOutputs | undefined): outputs is undefined {
  return outputs === undefined || outputs.images.length + outputs.video.length + outputs.audio.length + outputs.text.length + outputs.files.length === 0;
}

function aspectOf(image: HTMLImageElement): number {
  return image.naturalWidth > 0 ? image.naturalHeight / image.naturalWidth : 1;
}

/** The room that the node is asked to grow by; links do not move, since sockets stand above it. */
function wantedHeight(width: number, outputs: NodeOutputs | undefined, aspect: number | null, single: boolean): number {
  const inner = width - 16;
  const count = outputs ? outputs.images.length + outputs.video.length : single ? 1 : 0;
  const pictures = count === 0 && !single ? 0 : count <= 1 ? Math.min(Math.max(inner * (aspect ?? 1), 90), 420) : Math.ceil(count / columns(count)) * (inner / columns(count));
  const text = (outputs?.text.length ?? 0) > 0 ? 90 : 0;
  return Math.round(Math.min(pictures, 520) + text + (outputs?.audio.length ?? 0) * 40 + (outputs?.files.length ?? 0) * 24 + 8 + (pictures > 0 ? 16 : 0));
}

function columns(count: number): number {
  return count <= 1 ? 1 : count <= 4 ? 2 : Math.ceil(Math.sqrt(count));
}

function useWantedHeight(id: string, height: number): void {
  const { ui } = useCanvas();
  useEffect(() => {
    const { previews } = ui.getState();
    if ((previews[id] ?? 0) === height) return;
    ui.setState({ previews: { ...previews, [id]: height } });
  }, [ui, id, height]);
}

/** The file that an upload widget holds. */
function chosenFile({ record, definition }: SceneNode): MediaFile | null {
  const input = definition?.inputs.find((one) => SHOWN.has(one.upload ?? ""));
  const file = input === undefined ? null : fileNamed(widgetValue(record, input));
  return file && { ...file, media: input?.upload === "mask" ? "image" : (input?.upload as MediaFile["media"]) };
}

const SHOWN: ReadonlySet<string> = new Set(["image", "mask", "video", "audio"]);

/** One file as what a run would have shown. */
function alone(file: MediaFile): NodeOutputs {
  const of = (media: MediaFile["media"]): MediaFile[] => (file.media === media ? [file] : []);
  return { images: of("image"), video: of("video"), audio: of("audio"), files: [], text: [], raw: {} };
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
            onAspect(aspectOf(image));
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
