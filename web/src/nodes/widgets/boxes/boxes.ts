/** Boxes drawn on a canvas, as saved files have them: pixels, and what is said of each. */
import { isObject } from "@/graph/json";
import type { Json, JsonObject } from "@/graph/types";

export type BoxKind = "obj" | "text";

export interface Told {
  readonly type: BoxKind;
  readonly text: string;
  readonly desc: string;
  readonly palette: readonly string[];
}

export interface Frame {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export interface DrawnBox extends Frame {
  readonly told: Told;
  /** As it was read: what is not known here is kept. */
  readonly raw: JsonObject;
}

export interface Size {
  readonly width: number;
  readonly height: number;
}

export type Grip = "move" | "nw" | "ne" | "sw" | "se";

/** A box that is smaller than this share of the canvas was no box but a press. */
const LEAST_SHARE = 0.01;
const SIDES = ["x", "y", "width", "height"] as const;

/** The boxes of a value; null where it holds anything else. */
export function readBoxes(value: Json): DrawnBox[] | null {
  if (value === null) return [];
  if (!Array.isArray(value)) return null;
  const boxes = (value as readonly Json[]).map(readBox);
  return boxes.every((one): one is DrawnBox => one !== null) ? boxes : null;
}

function readBox(value: Json): DrawnBox | null {
  if (!isObject(value)) return null;
  const [x, y, width, height] = SIDES.map((side) => value[side]);
  if (!isNumber(x) || !isNumber(y) || !isNumber(width) || !isNumber(height)) return null;
  const about = isObject(value["metadata"]) ? value["metadata"] : {};
  const palette = Array.isArray(about["palette"]) ? (about["palette"] as readonly Json[]) : [];
  return {
    ...{ x, y, width, height },
    told: { type: about["type"] === "text" ? "text" : "obj", text: words(about["text"]), desc: words(about["desc"]), palette: palette.filter((one): one is string => typeof one === "string") },
    raw: value,
  };
}

function isNumber(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value);
}

function words(value: Json | undefined): string {
  return typeof value === "string" ? value : "";
}

/** What is saved, in the order of keys that other programs write. */
export function writeBoxes(boxes: readonly DrawnBox[]): Json {
  return boxes.map(({ x, y, width, height, told, raw }) => {
    const about = isObject(raw["metadata"]) ? raw["metadata"] : {};
    return { ...raw, x, y, width, height, metadata: { ...about, ...told, palette: [...told.palette] } };
  });
}

export const UNTOLD: Told = { type: "obj", text: "", desc: "", palette: [] };

/** A box between two corners, within the canvas; null where it is too small to be meant. */
export function drawn(from: readonly [number, number], to: readonly [number, number], canvas: Size): DrawnBox | null {
  const [x, right] = sorted(from[0], to[0], canvas.width);
  const [y, bottom] = sorted(from[1], to[1], canvas.height);
  const [width, height] = [right - x, bottom - y];
  if (width < canvas.width * LEAST_SHARE || height < canvas.height * LEAST_SHARE) return null;
  return { x, y, width, height, told: UNTOLD, raw: {} };
}

function sorted(one: number, other: number, most: number): [number, number] {
  const within = [one, other].map((side) => Math.round(Math.min(Math.max(side, 0), most)));
  return [Math.min(...within), Math.max(...within)];
}

/** A box whose body, or corner, was moved by so many pixels. It keeps its size at the edges, and is never less than a pixel. */
export function moved<T extends Frame>(box: T, grip: Grip, dx: number, dy: number, canvas: Size): T {
  if (grip === "move") {
    return { ...box, x: pushed(box.x, dx, canvas.width - box.width), y: pushed(box.y, dy, canvas.height - box.height) };
  }
  const [left, right] = side(box.x, box.x + box.width, grip.endsWith("w"), dx, canvas.width);
  const [top, bottom] = side(box.y, box.y + box.height, grip.startsWith("n"), dy, canvas.height);
  return { ...box, x: left, y: top, width: right - left, height: bottom - top };
}

/** A box that reached past the canvas before may stay where it is, or come in. */
function pushed(start: number, by: number, room: number): number {
  const [least, most] = [Math.min(0, start, room), Math.max(0, start, room)];
  return Math.round(Math.min(Math.max(start + by, least), most));
}

function side(low: number, high: number, first: boolean, by: number, most: number): [number, number] {
  if (first) return [Math.round(Math.min(Math.max(low + by, Math.min(0, low)), high - 1)), high];
  return [low, Math.round(Math.max(Math.min(high + by, Math.max(most, high)), low + 1))];
}

/** Where on the canvas a place of the page is, when the canvas is shown as large as fits into `shown`, in its middle. */
export function placeOn(canvas: Size, shown: { left: number; top: number; width: number; height: number }, client: { x: number; y: number }): [number, number] {
  const scale = Math.min(shown.width / canvas.width, shown.height / canvas.height) || 1;
  const left = shown.left + (shown.width - canvas.width * scale) / 2;
  const top = shown.top + (shown.height - canvas.height * scale) / 2;
  return [(client.x - left) / scale, (client.y - top) / scale];
}

/** Which boxes count: those that came over the link, until what was drawn was begun from them. */
export function counting(state: Json, incoming: Json | undefined, begunFrom: Json): { readonly boxes: Json; readonly begins: boolean } {
  const came = Array.isArray(incoming) && incoming.length > 0;
  const begins = came && !same(incoming, begunFrom);
  return { boxes: begins ? incoming : state, begins };
}

function same(one: Json, other: Json): boolean {
  const [first, second] = [readBoxes(one), readBoxes(other)];
  return first !== null && second !== null && JSON.stringify(first.map(plain)) === JSON.stringify(second.map(plain));
}

function plain({ x, y, width, height, told }: DrawnBox): unknown {
  return [x, y, width, height, told.type, told.text, told.desc, told.palette];
}
