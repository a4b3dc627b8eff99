/** Curves through a few points, as the field saves them: `{points: [[x, y], …], interpolation}`. */
import { isObject } from "@/graph/json";
import type { Json, JsonObject } from "@/graph/types";
import { tidy } from "@/graph/widgets";

export type Point = readonly [number, number];

export interface Curve {
  /** In the order of x, which differ. */
  readonly points: readonly Point[];
  readonly interpolation: string;
  /** As it was read: what is not known here is kept. */
  readonly raw: JsonObject;
}

export const INTERPOLATIONS: Readonly<Record<string, string>> = { monotone_cubic: "smooth", linear: "straight" };
const STRAIGHT: readonly Point[] = [[0, 0], [1, 1]];
/** Points keep this far apart, so that the order of x is theirs. */
const GAP = 0.002;

/** The curve of a value; null where it holds anything else. */
export function readCurve(value: Json): Curve | null {
  if (value === null) return { points: STRAIGHT, interpolation: "monotone_cubic", raw: {} };
  const raw = isObject(value) ? value : {};
  const listed = isObject(value) ? value["points"] : value;
  const interpolation = raw["interpolation"] ?? "monotone_cubic";
  if (!Array.isArray(listed) || listed.length === 0 || typeof interpolation !== "string") return null;
  const places = new Map<number, number>();
  for (const one of listed as readonly Json[]) {
    if (!Array.isArray(one) || one.length !== 2 || !one.every((side) => typeof side === "number" && Number.isFinite(side))) return null;
    places.set(one[0] as number, one[1] as number);
  }
  return { points: [...places].sort(([x], [other]) => x - other), interpolation, raw };
}

export function writeCurve({ points, interpolation, raw }: Curve): Json {
  return { ...raw, points: points.map(([x, y]) => [x, y]), interpolation };
}

/** The curve without changes to what goes through it. */
export function straight(curve: Curve): Curve {
  return { ...curve, points: STRAIGHT };
}

/** With one more point; its number comes too. A place that is taken gives that point. */
export function withPoint(curve: Curve, [x, y]: Point): { curve: Curve; at: number } {
  const place: Point = [within(x), within(y)];
  const near = curve.points.findIndex((one) => Math.abs(one[0] - place[0]) < GAP);
  if (near >= 0) return { curve, at: near };
  const points = [...curve.points, place].sort((one, other) => one[0] - other[0]);
  return { curve: { ...curve, points }, at: points.indexOf(place) };
}

/** The middle of the widest gap, on the curve: where a point is added that nobody placed. */
export function roomiest(curve: Curve): Point {
  const ends = [0, ...curve.points.map(([x]) => within(x)), 1];
  const widths = ends.slice(1).map((end, at) => end - (ends[at] ?? 0));
  const at = widths.indexOf(Math.max(...widths));
  const x = (ends[at] ?? 0) + (widths[at] ?? 0) / 2;
  return [x, curveAt(curve)(x)];
}

export function withoutPoint(curve: Curve, at: number): Curve {
  return curve.points.length <= 2 ? curve : { ...curve, points: curve.points.filter((_, other) => other !== at) };
}

/** A point moves within the square, and not past those beside it. */
export function withMoved(curve: Curve, at: number, [x, y]: Point): Curve {
  const least = at > 0 ? within((curve.points[at - 1]?.[0] ?? 0) + GAP) : 0;
  const most = at < curve.points.length - 1 ? within((curve.points[at + 1]?.[0] ?? 1) - GAP) : 1;
  const place: Point = [tidied(Math.max(Math.min(within(x), most), least)), tidied(within(y))];
  return { ...curve, points: curve.points.map((one, other) => (other === at ? place : one)) };
}

function within(side: number): number {
  return tidied(Math.min(Math.max(side, 0), 1));
}

function tidied(side: number): number {
  return tidy(Math.round(side * 1e4) / 1e4);
}

/**
 * What the curve gives for a value, cut to 0…1; the ends go on level. As the server has it: monotone cubics after Fritsch and
 * Carlson, "Monotone Piecewise Cubic Interpolation" (1980).
 */
export function curveAt({ points, interpolation }: Curve): (x: number) => number {
  const slopes = interpolation === "linear" || points.length < 3 ? null : slopesOf(points);
  const [first, last] = [points[0] as Point, points.at(-1) as Point];
  return (value) => {
    const x = Math.min(Math.max(value, first[0]), last[0]);
    const right = Math.max(1, points.findIndex((one) => one[0] > x));
    const at = x >= last[0] ? points.length - 1 : right;
    const [from, to] = [points[at - 1] ?? first, points[at] ?? last];
    const step = to[0] - from[0];
    if (step <= 0) return cut(from[1]);
    const t = (x - from[0]) / step;
    if (slopes === null) return cut(from[1] + (to[1] - from[1]) * t);
    const [before, after] = [slopes[at - 1] ?? 0, slopes[at] ?? 0];
    return cut((1 + 2 * t) * (1 - t) ** 2 * from[1] + t * (1 - t) ** 2 * step * before + t ** 2 * (3 - 2 * t) * to[1] + t ** 2 * (t - 1) * step * after);
  };
}

function cut(value: number): number {
  return Math.min(Math.max(value, 0), 1);
}

/** Means of the secants beside a point, 0 where those turn, and within the circle of radius 3 of the paper. */
function slopesOf(points: readonly Point[]): number[] {
  const secants = points.slice(1).map((to, at) => (to[1] - (points[at] as Point)[1]) / (to[0] - (points[at] as Point)[0]));
  const slopes = points.map((_, at) => {
    const [before, after] = [secants[at - 1], secants[at]];
    if (before === undefined || after === undefined) return before ?? after ?? 0;
    return before * after <= 0 ? 0 : (before + after) / 2;
  });
  secants.forEach((secant, at) => {
    const [before, after] = [(slopes[at] ?? 0) / secant, (slopes[at + 1] ?? 0) / secant];
    const reach = Math.hypot(before, after);
    if (secant === 0) slopes[at] = slopes[at + 1] = 0;
    else if (reach > 3) [slopes[at], slopes[at + 1]] = [((3 * before) / reach) * secant, ((3 * after) / reach) * secant];
  });
  return slopes;
}

/** Heights 0…1 of a histogram's bars, of which the tallest of those within fills the square; null where it is none. */
export function barsOf(told: unknown): readonly number[] | null {
  const listed = Array.isArray(told) && Array.isArray(told[0]) ? (told[0] as unknown) : told;
  if (!Array.isArray(listed) || listed.length < 2 || !listed.every((one) => typeof one === "number" && one >= 0)) return null;
  const counts = listed as readonly number[];
  // Black and white alone would make the rest too small to see.
  const tallest = Math.max(...counts.slice(1, -1)) || Math.max(...counts);
  return tallest > 0 ? counts.map((one) => Math.min(one / tallest, 1)) : null;
}
