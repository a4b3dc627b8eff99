import { expect, test } from "vitest";
import { boundsOf, nearest, readRange, shareOf, withEnd, writeRange } from "./range";

const BOUNDS = boundsOf({ options: { value_min: 0, value_max: 255 }, step: 1 });
const range = (value: unknown) => readRange(value as never, BOUNDS) ?? { min: NaN, max: NaN, raw: {} };

test("spans are read and written as they were, with what is not known", () => {
  for (const value of [{ min: 3, max: 200 }, { min: 0, max: 1, midpoint: 0.25 }, { max: 9, min: 2, unit: "px" }]) expect(JSON.stringify(writeRange(range(value)))).toBe(JSON.stringify(value));
  expect(writeRange(range(null))).toEqual({ min: 0, max: 255 });
  for (const value of [[0, 1], "0-1", { min: 0 }, { min: "0", max: 1 }]) expect(readRange(value as never, BOUNDS)).toBeNull();
});

test("an end goes on steps, up to the other one and to the bounds", () => {
  const start = range({ min: 50, max: 100 });
  expect(withEnd(start, "min", 70.4, BOUNDS).min).toBe(70);
  expect(withEnd(start, "min", 400, BOUNDS).min).toBe(100);
  expect(withEnd(start, "max", 400, BOUNDS).max).toBe(255);
  expect(withEnd(start, "max", -4, BOUNDS).max).toBe(50);
  expect(withEnd(start, "midpoint", 1.5, BOUNDS).midpoint).toBe(1);
});

test("handles stand on the track, and the nearer one is taken", () => {
  const shown = range({ min: 51, max: 204, midpoint: 0.5 });
  expect([shareOf(shown, "min", BOUNDS), shareOf(shown, "max", BOUNDS), shareOf(shown, "midpoint", BOUNDS)]).toEqual([0.2, 0.8, 0.5]);
  expect([nearest(shown, 0.1, BOUNDS), nearest(shown, 0.7, BOUNDS)]).toEqual(["min", "max"]);
  const met = range({ min: 255, max: 255 });
  expect(nearest(met, 0.9, BOUNDS)).toBe("min");
});
