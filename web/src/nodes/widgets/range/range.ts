/** A span of values as the field saves it: `{min, max}`, with a `midpoint` that is a share of the way between them. */
import type { InputDefinition } from "@/graph/definitions";
import { finite, isObject } from "@/graph/json";
import type { Json, JsonObject } from "@/graph/types";
import { tidy } from "@/graph/widgets";

export interface Range {
  readonly min: number;
  readonly max: number;
  readonly midpoint?: number;
  readonly raw: JsonObject;
}

/** What both ends stay within, and how far a key moves them. */
export interface Bounds {
  readonly least: number;
  readonly most: number;
  readonly step: number;
}

export type End = "min" | "max" | "midpoint";

export function boundsOf({ options, step }: Pick<InputDefinition, "options" | "step">): Bounds {
  const [least, most] = [finite(options["value_min"]) ?? 0, finite(options["value_max"]) ?? 1];
  return { least, most: Math.max(most, least), step: step ?? ((most - least) / 100 || 0.01) };
}

/** The span of a value; null where it holds anything else. */
export function readRange(value: Json, { least, most }: Bounds): Range | null {
  if (value === null) return { min: least, max: most, raw: {} };
  if (!isObject(value)) return null;
  const [min, max, midpoint] = [finite(value["min"]), finite(value["max"]), finite(value["midpoint"])];
  return min === undefined || max === undefined ? null : { min, max, ...(midpoint === undefined ? {} : { midpoint }), raw: value };
}

export function writeRange({ min, max, midpoint, raw }: Range): Json {
  return { ...raw, min, max, ...(midpoint === undefined ? {} : { midpoint }) };
}

/** An end goes up to the other one, and no further than the bounds. */
export function withEnd(range: Range, end: End, value: number, { least, most, step }: Bounds): Range {
  if (end === "midpoint") return { ...range, midpoint: tidy(Math.min(Math.max(value, 0), 1)) };
  const rounded = tidy(least + Math.round((value - least) / step) * step);
  const [from, to] = end === "min" ? [least, range.max] : [range.min, most];
  return { ...range, [end]: Math.min(Math.max(rounded, from), to) };
}

/** Where on the track, 0…1, an end stands. */
export function shareOf(range: Range, end: End, { least, most }: Bounds): number {
  const value = end === "midpoint" ? range.min + (range.midpoint ?? 0.5) * (range.max - range.min) : range[end];
  return most > least ? Math.min(Math.max((value - least) / (most - least), 0), 1) : 0;
}

/** The end that a place of the track is nearest to; where they meet, the one that can go there. */
export function nearest(range: Range, share: number, bounds: Bounds): "min" | "max" {
  const [low, high] = [shareOf(range, "min", bounds), shareOf(range, "max", bounds)];
  if (low === high) return share < low ? "min" : "max";
  return Math.abs(share - low) <= Math.abs(share - high) ? "min" : "max";
}
