/** Widgets of the field that are more than a line: canvases, recorders, code. */
import { text } from "./json";
import type { JsonObject } from "./types";

export type Surface = "boxes" | "curve" | "range" | "recording" | "painting" | "camera" | "code";

/** By the type of an input, or the widget that it names. */
const SURFACES: Readonly<Record<string, Surface>> = {
  BOUNDING_BOXES: "boxes",
  CURVE: "curve",
  RANGE: "range",
  AUDIO_RECORD: "recording",
  PAINTER: "painting",
  WEBCAM: "camera",
};

const ROOM: Readonly<Record<Surface, number>> = { boxes: 300, curve: 210, range: 44, recording: 66, painting: 330, camera: 200, code: 180 };

/** What an input is drawn on. An advanced one only keeps what another made: it is text. */
export function surfaceOf(type: string, options: JsonObject): Surface | undefined {
  if (options["advanced"] === true) return undefined;
  if (text(options["code"])) return type === "STRING" ? "code" : undefined;
  return SURFACES[type] ?? SURFACES[text(options["widgetType"]) ?? ""];
}

/** Least height in pixels. */
export function roomOf(surface: Surface | undefined): number | undefined {
  return surface && ROOM[surface];
}
