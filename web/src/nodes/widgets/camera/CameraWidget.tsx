import "../drawn/surfaces.css";
import { useCallback, useEffect, useRef, useState } from "react";
import { uploadImage, viewUrl } from "@/api/calls";
import { Icon, toast } from "@/app/ui";
import { type InputDefinition, inputOf, parseInput } from "@/graph/definitions";
import type { Json } from "@/graph/types";
import { beforeRun } from "@/run";
import { useDefinition, useNodePlace } from "../../context";
import { fileNamed, nameOf } from "../../fileNames";
import { useWidget } from "../../useWidget";
import { close, opened } from "../devices/devices";
import { frameSize } from "./frames";

/** The picture of a camera: taken by hand, or before each run. It is of the size that the node says, else the camera's own. */
export function CameraWidget({ input }: { input: InputDefinition }) {
  const widget = useWidget(input);
  const { store } = useNodePlace();
  const wanted = useWanted();
  const { video, live, toggle } = useCamera();
  const file = fileNamed(widget.value);
  const name = input.label ?? input.name;
  const take = useCallback(async (): Promise<void> => {
    if (video.current === null || video.current.videoWidth === 0) return;
    try {
      const { name: filename, subfolder, type } = await uploadImage(await frameOf(video.current, wanted.width, wanted.height), { name: `${Date.now()}.png`, subfolder: "webcam", type: "temp" });
      widget.set(nameOf({ filename, subfolder, type }));
      widget.done();
    } catch (error) {
      toast({ title: "No picture was taken", text: error instanceof Error ? error.message : String(error), kind: "danger" });
    }
    // Of the widget only what stays the same is used.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [video, wanted.width, wanted.height, widget.set, widget.done]);
  useEffect(() => (live && wanted.onRun && !widget.linked ? beforeRun(store, take) : undefined), [live, wanted.onRun, widget.linked, store, take]);
  return (
    <div className="sl-surface" role="group" aria-label={name} data-linked={widget.linked || undefined} data-tip={input.tooltip}>
      <div className="sl-camera">
        <video ref={video} className="nodrag" muted playsInline hidden={!live} aria-label="What the camera sees" />
        {!live && (file === null ? <p className="sl-surface-hint">Start the camera, then take a picture.</p> : <img src={viewUrl(file, { preview: "webp;85" })} alt={file.filename} draggable={false} />)}
      </div>
      <div className="sl-surface-tools nodrag">
        <button type="button" className="sl-record" aria-pressed={live} disabled={widget.linked} onClick={() => void toggle()}>
          <Icon name={live ? "stop" : "camera"} size={12} />
          {live ? "Stop the camera" : "Start the camera"}
        </button>
        <output>{file?.filename ?? "no picture yet"}</output>
        <button type="button" className="sl-record" disabled={!live || widget.linked} onClick={() => void take()}>
          Take
        </button>
      </div>
    </div>
  );
}

const [WIDTH, HEIGHT] = ["width", "height"].map((name) => parseInput(name, ["INT", { default: 0 }], true)) as [InputDefinition, InputDefinition];
const ON_RUN = parseInput("capture_on_queue", ["BOOLEAN", { default: true }], true);

function useWanted(): { width: number; height: number; onRun: boolean } {
  const definition = useDefinition();
  const width = useWidget(inputOf(definition, "width") ?? WIDTH).value;
  const height = useWidget(inputOf(definition, "height") ?? HEIGHT).value;
  const onRun = useWidget(inputOf(definition, "capture_on_queue") ?? ON_RUN).value;
  return { width: pixels(width), height: pixels(height), onRun: onRun === true };
}

function pixels(value: Json): number {
  return typeof value === "number" && value > 0 ? value : 0;
}

async function frameOf(video: HTMLVideoElement, width: number, height: number): Promise<Blob> {
  const canvas = document.createElement("canvas");
  const size = frameSize({ width: video.videoWidth, height: video.videoHeight }, width, height);
  Object.assign(canvas, size);
  canvas.getContext("2d")?.drawImage(video, 0, 0, size.width, size.height);
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob === null ? reject(new Error("The browser could not make a picture of what the camera sees.")) : resolve(blob)), "image/png");
  });
}

function useCamera() {
  const video = useRef<HTMLVideoElement>(null);
  const stream = useRef<MediaStream | null>(null);
  const gone = useRef(false);
  const [live, setLive] = useState(false);
  const stop = (): void => {
    close(stream.current);
    stream.current = null;
    setLive(false);
  };
  const start = async (): Promise<void> => {
    try {
      const found = await opened("video");
      if (gone.current || video.current === null) return close(found);
      stream.current = found;
      video.current.srcObject = found;
      await video.current.play();
      setLive(true);
    } catch (error) {
      stop();
      toast({ title: "There is no picture", text: error instanceof Error ? error.message : String(error), kind: "danger" });
    }
  };
  useEffect(() => {
    gone.current = false;
    return () => {
      gone.current = true;
      close(stream.current);
    };
  }, []);
  return { video, live, toggle: () => (live ? stop() : start()) };
}
