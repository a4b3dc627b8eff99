import { type RefObject, useEffect, useRef } from "react";
import { viewUrl } from "@/api/calls";
import { toast } from "@/app/ui";
import { fileNamed } from "../../fileNames";
import { useNodePlace } from "../../context";
import type { Size } from "../boxes/boxes";
import { drawingOf, hold, newName, sent } from "./drawings";
import { type Brush, copied, paint, type Place, pngOf } from "./strokes";
import { beforeRun } from "@/run";

/** After a stroke; whoever paints on has nothing sent yet. */
const PAUSE = 2000;

export interface Layer {
  readonly begin: (place: Place, brush: Brush) => void;
  readonly go: (places: readonly Place[]) => void;
  /** The stroke is complete; `keep` false takes it back. */
  readonly end: (keep: boolean) => void;
  /** Send what is there. */
  readonly send: () => Promise<void>;
}

/** What is painted on a canvas, as the file that `value` names; `onFile` gets the name of what was changed. */
export function useLayer(canvas: RefObject<HTMLCanvasElement | null>, { width, height }: Size, value: string, onFile: (value: string) => void): Layer {
  const { store, id } = useNodePlace();
  const stroke = useRef<{ before: HTMLCanvasElement; places: Place[]; brush: Brush } | null>(null);
  /** The file whose pixels the canvas has. */
  const shown = useRef<string | null>(null);
  const name = fileNamed(value)?.filename ?? "";

  useEffect(() => {
    const element = canvas.current;
    const context = element?.getContext("2d");
    if (!element || !context) return undefined;
    const resized = element.width !== width || element.height !== height;
    if (!resized && shown.current === value) return undefined;
    if (resized) Object.assign(element, { width, height });
    let stale = false;
    shown.current = value;
    void pixelsOf(value).then((pixels) => {
      if (!stale) paint(context, pixels, [], NO_BRUSH);
    });
    return () => {
      stale = true;
    };
  }, [canvas, value, width, height]);

  useEffect(() => {
    if (name === "") return undefined;
    const send = (): Promise<void> => sent(name);
    const timer = setTimeout(() => void send(), PAUSE);
    const forget = beforeRun(store, send);
    return () => {
      clearTimeout(timer);
      forget();
    };
  }, [store, name]);

  const newest = useRef(name);
  useEffect(() => {
    newest.current = name;
  }, [name]);
  useEffect(() => () => void sent(newest.current), []);

  const draw = (): void => {
    const context = canvas.current?.getContext("2d");
    if (context && stroke.current !== null) paint(context, stroke.current.before, stroke.current.places, stroke.current.brush);
  };
  return {
    begin(place, brush) {
      if (canvas.current === null) return;
      stroke.current = { before: copied(canvas.current), places: [place], brush };
      draw();
    },
    go(places) {
      stroke.current?.places.push(...places);
      draw();
    },
    end(keep) {
      const element = canvas.current;
      if (stroke.current === null || element === null) return;
      if (!keep) {
        stroke.current.places = [];
        draw();
      } else {
        const made = newName(id, Date.now());
        hold(made, pngOf(element));
        shown.current = `${made} [input]`;
        onFile(shown.current);
      }
      stroke.current = null;
    },
    send: () => sent(name),
  };
}

const NO_BRUSH: Brush = { kind: "brush", size: 1, color: "#000000", opacity: 1 };

/** The picture of a value; null where it names none, or one that cannot be had. */
async function pixelsOf(value: string): Promise<CanvasImageSource | null> {
  const file = fileNamed(value);
  if (file === null) return null;
  try {
    const held = drawingOf(file.filename);
    const blob = held === undefined ? await fetched(viewUrl(file)) : await held;
    return await createImageBitmap(blob);
  } catch (error) {
    toast({ title: `${file.filename} cannot be shown`, text: error instanceof Error ? error.message : String(error), kind: "danger" });
    return null;
  }
}

async function fetched(address: string): Promise<Blob> {
  const answer = await fetch(address);
  if (!answer.ok) throw new Error("It is not on the server. Paint again, or clear the canvas.");
  return answer.blob();
}
