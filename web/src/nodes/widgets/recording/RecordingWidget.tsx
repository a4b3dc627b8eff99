import "../drawn/surfaces.css";
import { useEffect, useRef, useState } from "react";
import { viewUrl } from "@/api/calls";
import { Icon, toast } from "@/app/ui";
import type { InputDefinition } from "@/graph/definitions";
import { beforeRun } from "@/run";
import { useNodePlace } from "../../context";
import { fileNamed } from "../../fileNames";
import { useWidget } from "../../useWidget";
import { FileField, useUpload } from "../FileField";
import { record, type Recording } from "./recorder";

const SECOND = 1000;

/** Sound from the microphone, or a file: recorded, heard, sent to the input folder. A run takes what is being recorded. */
export function RecordingWidget({ input }: { input: InputDefinition }) {
  const widget = useWidget(input);
  const upload = useUpload(input, widget.set);
  const { on, seconds, toggle } = useRecorder(upload.send);
  const file = fileNamed(widget.value);
  const name = input.label ?? input.name;
  return (
    <div className="sl-surface sl-recording" role="group" aria-label={name} data-linked={widget.linked || undefined} data-tip={input.tooltip}>
      <div className="sl-surface-tools nodrag">
        <button type="button" className="sl-record" aria-pressed={on} disabled={widget.linked || upload.busy} onClick={() => void toggle()}>
          <Icon name={on ? "stop" : "mic"} size={12} />
          {on ? "Stop" : "Record"}
        </button>
        <output aria-live="off">{on ? clock(seconds) : upload.busy ? "sending…" : (file?.filename ?? "nothing recorded")}</output>
        <FileField input={input} onFile={widget.set} />
        <button
          type="button"
          className="sl-widget-button"
          aria-label="Forget the recording"
          data-tip="Forget the recording"
          disabled={widget.linked || file === null}
          onClick={() => {
            widget.set("");
            widget.done();
          }}
        >
          <Icon name="trash" size={12} />
        </button>
      </div>
      {file === null || on ? <p className="sl-surface-hint">{on ? "Recording…" : "Record, choose a sound, or drop one here."}</p> : <audio key={file.filename} className="nodrag" src={viewUrl(file)} controls preload="metadata" aria-label={file.filename} />}
    </div>
  );
}

function clock(seconds: number): string {
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

function useRecorder(send: (file: File) => Promise<void>) {
  const { store } = useNodePlace();
  const [on, setOn] = useState(false);
  const [seconds, setSeconds] = useState(0);
  const recording = useRef<Promise<Recording> | null>(null);
  const newest = useRef(send);
  useEffect(() => {
    newest.current = send;
  }, [send]);

  const stop = async (): Promise<void> => {
    const held = recording.current;
    recording.current = null;
    if (held === null) return;
    setOn(false);
    try {
      await newest.current(await (await held).stop());
    } catch (error) {
      toast({ title: "Nothing was recorded", text: told(error), kind: "danger" });
    }
  };
  const start = async (): Promise<void> => {
    const asked = record();
    recording.current = asked;
    try {
      await asked;
      setSeconds(0);
      setOn(true);
    } catch (error) {
      recording.current = null;
      toast({ title: "The recording did not begin", text: told(error), kind: "danger" });
    }
  };

  useEffect(() => {
    if (!on) return undefined;
    const timer = setInterval(() => setSeconds((before) => before + 1), SECOND);
    const forget = beforeRun(store, stop);
    return () => {
      clearInterval(timer);
      forget();
    };
  }, [on, store]);
  useEffect(() => () => void recording.current?.then((held) => held.drop()).catch(() => undefined), []);
  return { on, seconds, toggle: () => (recording.current === null ? start() : stop()) };
}

function told(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
