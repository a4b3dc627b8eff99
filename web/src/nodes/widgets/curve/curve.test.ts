import { expect, test } from "vitest";
import { barsOf, type Curve, curveAt, readCurve, roomiest, straight, withMoved, withoutPoint, withPoint, writeCurve } from "./curve";

const SAVED = { points: [[0, 0], [0.25, 0.6], [0.5, 0.65], [0.8, 0.3], [1, 1]], interpolation: "monotone_cubic" };
const curve = (value: unknown): Curve => {
  const read = readCurve(value as never);
  if (read === null) throw new Error("no curve");
  return read;
};

test("curves of saved files are read and written as they were, with what is not known", () => {
  expect(JSON.stringify(writeCurve(curve(SAVED)))).toBe(JSON.stringify(SAVED));
  const odd = { ...SAVED, tension: 0.5 };
  expect(writeCurve(curve(odd))).toEqual(odd);
  expect(curve(null).points).toEqual([[0, 0], [1, 1]]);
  expect(curve([[1, 0], [0, 1]]).points).toEqual([[0, 1], [1, 0]]);
});

test("what is no curve is not taken for one", () => {
  for (const value of ["curve", [], { points: [] }, { points: [[0]] }, { points: [[0, "1"]] }, { points: [[0, 0, 0]] }, { points: 3 }]) expect(readCurve(value as never)).toBeNull();
});

test("a point is added where there is room, moves between its neighbours, and two stay", () => {
  const start = straight(curve(SAVED));
  const { curve: three, at } = withPoint(start, [0.4, 0.9]);
  expect([three.points, at]).toEqual([[[0, 0], [0.4, 0.9], [1, 1]], 1]);
  expect(withPoint(three, [0.4005, 0.1])).toEqual({ curve: three, at: 1 });
  expect(withMoved(three, 1, [3, -2]).points).toEqual([[0, 0], [0.998, 0], [1, 1]]);
  expect(withMoved(three, 0, [-1, 0.5]).points[0]).toEqual([0, 0.5]);
  expect(withoutPoint(three, 1).points).toEqual(start.points);
  expect(withoutPoint(start, 0)).toBe(start);
  expect(roomiest(start)).toEqual([0.5, 0.5]);
  expect(roomiest(three)[0]).toBeCloseTo(0.7, 12);
});

/** By scipy's CubicHermiteSpline with slopes of the paper. */
test.each([[0, 0.00000000], [0.1, 0.28320000], [0.25, 0.60000000], [0.4, 0.64680000], [0.62, 0.52680000], [0.75, 0.32592593], [0.9, 0.56250000], [1, 1.00000000]])("a curve at %f gives %f", (x, wanted) => {
  expect(curveAt(curve(SAVED))(x)).toBeCloseTo(wanted, 6);
});

test("straight lines between points, level beyond them, cut to the square", () => {
  const line = curveAt(curve({ points: [[0.2, -1], [0.6, 1]], interpolation: "linear" }));
  expect([0, 0.2, 0.3, 0.5, 0.6, 1].map((x) => Number(line(x).toFixed(12)))).toEqual([0, 0, 0, 0.5, 1, 1]);
  expect(curveAt(curve([[0.5, 0.25]]))(0.9)).toBe(0.25);
});

test("bars are as high as the counts within, whatever black and white have", () => {
  expect(barsOf([900, 10, 20, 5, 800])).toEqual([1, 0.5, 1, 0.25, 1]);
  expect(barsOf([[4, 0, 0, 2]])).toEqual([1, 0, 0, 0.5]);
  for (const told of [undefined, [], [1], ["a", "b"], [0, 0, 0], [-1, 2, 3]]) expect(barsOf(told)).toBeNull();
});
