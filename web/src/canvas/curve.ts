/** The shape of a link between two points, and how far a place is from it. */
import type { Box, Point } from "@/graph/types";

export type LinkStyle = "curved" | "straight" | "angled";

/** Anything that takes the commands of a canvas path. */
export interface PathSink {
  moveTo(x: number, y: number): void;
  lineTo(x: number, y: number): void;
  bezierCurveTo(x1: number, y1: number, x2: number, y2: number, x: number, y: number): void;
}

const REACH = 160;

/** How far the curve leaves its end level: more if the link runs backwards, so that it swings around the nodes. */
function bend([x1, y1]: Point, [x2, y2]: Point): number {
  const [dx, dy] = [x2 - x1, y2 - y1];
  if (dx >= 0) return Math.min(Math.max(dx * 0.5, Math.min(Math.abs(dy) * 0.4, 48)), REACH);
  return Math.min(60 + Math.abs(dx) * 0.3 + Math.abs(dy) * 0.1, REACH);
}

/** `lane`: the height at which a link that runs backwards passes between its two nodes, if there is room. */
export function tracePath(sink: PathSink, points: readonly Point[], style: LinkStyle, lane: number | null = null): void {
  const [first, second] = points;
  if (first === undefined) return;
  sink.moveTo(first[0], first[1]);
  if (lane !== null && second !== undefined && style === "curved") {
    traceReturn(sink, first, second, lane);
    return;
  }
  // Through a reroute a link passes on with less swing, or it would tie a loop there.
  const most = points.length > 2 ? 40 : REACH;
  for (let i = 1; i < points.length; i += 1) traceSegment(sink, points[i - 1] as Point, points[i] as Point, style, most);
}

const TURN = 44;

/** Around the end of one node, back between the two, around the other. */
function traceReturn(sink: PathSink, [x1, y1]: Point, [x2, y2]: Point, lane: number): void {
  sink.bezierCurveTo(x1 + TURN, y1, x1 + TURN, lane, x1, lane);
  sink.lineTo(x2, lane);
  sink.bezierCurveTo(x2 - TURN, lane, x2 - TURN, y2, x2, y2);
}

function traceSegment(sink: PathSink, from: Point, to: Point, style: LinkStyle, most: number): void {
  if (style === "straight") {
    sink.lineTo(to[0], to[1]);
  } else if (style === "angled") {
    const middle = to[0] > from[0] + 20 ? (from[0] + to[0]) / 2 : from[0] + 20;
    sink.lineTo(middle, from[1]);
    sink.lineTo(middle, to[1]);
    sink.lineTo(to[0], to[1]);
  } else {
    const reach = Math.min(bend(from, to), most);
    sink.bezierCurveTo(from[0] + reach, from[1], to[0] - reach, to[1], to[0], to[1]);
  }
}

/** For the `d` of an SVG path. */
export function svgPath(points: readonly Point[], style: LinkStyle): string {
  const parts: string[] = [];
  tracePath(
    {
      moveTo: (x, y) => parts.push(`M${x},${y}`),
      lineTo: (x, y) => parts.push(`L${x},${y}`),
      bezierCurveTo: (a, b, c, d, x, y) => parts.push(`C${a},${b} ${c},${d} ${x},${y}`),
    },
    points,
    style,
  );
  return parts.join("");
}

/** A box that holds the whole curve, ends and bends. */
export function curveBox(points: readonly Point[]): Box {
  let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity];
  for (const [x, y] of points) {
    left = Math.min(left, x);
    right = Math.max(right, x);
    top = Math.min(top, y);
    bottom = Math.max(bottom, y);
  }
  return { x: left - REACH, y: top - 4, width: right - left + 2 * REACH, height: bottom - top + 8 };
}

/** Points along the link, near enough to each other to measure distances by. */
export function samples(points: readonly Point[], style: LinkStyle, lane: number | null = null): Point[] {
  const found: Point[] = [];
  let last: Point = [0, 0];
  tracePath(
    {
      moveTo: (x, y) => {
        last = [x, y];
        found.push(last);
      },
      lineTo: (x, y) => {
        last = [x, y];
        found.push(last);
      },
      bezierCurveTo: (x1, y1, x2, y2, x, y) => {
        for (let i = 1; i <= 24; i += 1) found.push(bezierAt(last, [x1, y1], [x2, y2], [x, y], i / 24));
        last = [x, y];
      },
    },
    points,
    style,
    lane,
  );
  return found;
}

function bezierAt(a: Point, b: Point, c: Point, d: Point, t: number): Point {
  const u = 1 - t;
  const [p, q, r, s] = [u * u * u, 3 * u * u * t, 3 * u * t * t, t * t * t];
  return [p * a[0] + q * b[0] + r * c[0] + s * d[0], p * a[1] + q * b[1] + r * c[1] + s * d[1]];
}

export function distanceTo(line: readonly Point[], [x, y]: Point): number {
  let best = Infinity;
  for (let i = 1; i < line.length; i += 1) {
    best = Math.min(best, segmentDistance(line[i - 1] as Point, line[i] as Point, x, y));
  }
  return best;
}

function segmentDistance([x1, y1]: Point, [x2, y2]: Point, x: number, y: number): number {
  const [dx, dy] = [x2 - x1, y2 - y1];
  const length = dx * dx + dy * dy;
  const t = length === 0 ? 0 : Math.min(1, Math.max(0, ((x - x1) * dx + (y - y1) * dy) / length));
  return Math.hypot(x - x1 - t * dx, y - y1 - t * dy);
}
