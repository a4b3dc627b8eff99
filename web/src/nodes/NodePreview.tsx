import { lazy, memo, Suspense, useEffect, useState } from "react";
import { useSetting } from "@/app/settings/settings";
import { useCanvas } from "@/canvas/context";
import type { SceneNode } from "@/canvas/scene";
import { widgetValue } from "@/graph/widgets";
import { useNodeRunPart, type MediaFile, type NodeOutputs } from "@/run";
import { fileNamed } from "./fileNames";
import { columns } from "./preview/columns";
import { usePromptId } from "./usePromptId";

/** Most nodes show nothing. */
const Shown = lazy(() => import("./preview/Shown").then((module) => ({ default: module.Shown })));

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
  return (
    <div className="sl-preview nodrag" style={{ top: place.y, height: place.height }}>
      {preview !== undefined ? (
        <img className="sl-preview-live" src={preview} alt="Picture so far" draggable={false} onLoad={(event) => setAspect(aspectOf(event.currentTarget))} />
      ) : (
        shown && (
          <Suspense>
            <Shown outputs={shown} job={ran ? job : undefined} onAspect={setAspect} />
          </Suspense>
        )
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
