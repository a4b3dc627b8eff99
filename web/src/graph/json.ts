import type { Json, JsonObject, Point } from "./types";

/** Whether a value is an object with keys: no list and not null. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The items of a list that are objects; none if it is no list. */
export function objects(value: unknown): JsonObject[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}

/** Whether a value can be the id of a node or link: a whole number, or text. */
export function isId(value: unknown): value is number | string {
  return (typeof value === "number" && Number.isInteger(value)) || typeof value === "string";
}

/** The number of an input or output, which some packs write as text; undefined if it is none. */
export function slotNumber(value: unknown): number | undefined {
  const read = typeof value === "string" && /^\d{1,9}$/.test(value) ? Number(value) : value;
  return typeof read === "number" && Number.isInteger(read) && read >= 0 ? read : undefined;
}

export function text(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

export function finite(value: unknown): number | undefined {
  return typeof value === "number" && Number.isFinite(value) ? value : undefined;
}

/** What a text says in JSON; undefined if it is none. */
export function readJson(written: string): Json | undefined {
  try {
    return JSON.parse(written) as Json;
  } catch {
    return undefined;
  }
}

/** A pair of numbers, which files hold as a list or as an object with the keys 0 and 1. */
export function asPoint(value: unknown): Point | null {
  if (Array.isArray(value)) return pair(value[0], value[1]);
  return isObject(value) ? pair(value["0"], value["1"]) : null;
}

function pair(x: unknown, y: unknown): Point | null {
  const [a, b] = [finite(x), finite(y)];
  return a === undefined || b === undefined ? null : [a, b];
}

/** Whether two JSON values are equal. The order of keys does not count. */
export function same(a: Json | undefined, b: Json | undefined): boolean {
  if (a === b) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Array.isArray(a) || Array.isArray(b)) {
    return Array.isArray(a) && Array.isArray(b) && a.length === b.length && a.every((one, at) => same(one, b[at]));
  }
  const [left, right] = [a as JsonObject, b as JsonObject];
  const keys = Object.keys(left);
  return keys.length === Object.keys(right).length && keys.every((key) => key in right && same(left[key], right[key]));
}

/** Whether two lists of ids hold the same ids in the same order. */
export function sameIds(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((one, at) => one === b[at]);
}
