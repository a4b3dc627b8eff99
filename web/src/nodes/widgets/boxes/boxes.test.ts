import { expect, test } from "vitest";
import { counting, drawn, moved, placeOn, readBoxes, writeBoxes } from "./boxes";

const CANVAS = { width: 896, height: 1152 };
const SAVED = [{ x: 128, y: 192, width: 736, height: 896, metadata: { type: "obj", text: "", desc: "dress", palette: ["#ff0000"] } }];

test("boxes of saved files are read and written as they were, with what is not known", () => {
  const boxes = readBoxes(SAVED);
  expect(boxes?.[0]).toMatchObject({ x: 128, width: 736, told: { type: "obj", desc: "dress", palette: ["#ff0000"] } });
  expect(JSON.stringify(writeBoxes(boxes ?? []))).toBe(JSON.stringify(SAVED));
  const odd = [{ ...SAVED[0], score: 0.5, metadata: { ...SAVED[0]?.metadata, name: "a" } }];
  expect(writeBoxes(readBoxes(odd) ?? [])).toEqual(odd);
});

test("what is no list of boxes is not taken for one", () => {
  expect(readBoxes(null)).toEqual([]);
  for (const value of ["[]", { x: 1 }, [3], [{ x: 1, y: 2, width: 3 }], [{ x: "1", y: 2, width: 3, height: 4 }]]) expect(readBoxes(value)).toBeNull();
});

test("a box is drawn from any corner, within the canvas, and a press draws none", () => {
  expect(drawn([300, 400], [-50, 2000], CANVAS)).toMatchObject({ x: 0, y: 400, width: 300, height: 752, told: { type: "obj", desc: "" } });
  expect(drawn([300, 400], [303, 700], CANVAS)).toBeNull();
});

test("a box moves up to the edges and keeps its size; a corner leaves the others where they are", () => {
  const box = { x: 100, y: 100, width: 200, height: 300 };
  expect(moved(box, "move", 5000, -5000, CANVAS)).toEqual({ x: 696, y: 0, width: 200, height: 300 });
  expect(moved(box, "se", 50, 5000, CANVAS)).toEqual({ x: 100, y: 100, width: 250, height: 1052 });
  expect(moved(box, "nw", 5000, -20, CANVAS)).toEqual({ x: 299, y: 80, width: 1, height: 320 });
  // One that was saved reaching past the edge does not jump when it is touched.
  expect(moved({ x: 800, y: 0, width: 200, height: 10 }, "move", 0, 4, CANVAS)).toEqual({ x: 800, y: 4, width: 200, height: 10 });
});

test("a place of the page is one of the canvas, however large and where it is shown", () => {
  const canvas = { width: 1000, height: 500 };
  expect(placeOn(canvas, { left: 10, top: 20, width: 100, height: 100 }, { x: 60, y: 70 })).toEqual([500, 250]);
  expect(placeOn(canvas, { left: 10, top: 20, width: 100, height: 100 }, { x: 10, y: 45 })).toEqual([0, 0]);
});

test("boxes that come over the link count until what was drawn was begun from them", () => {
  const other = [{ x: 1, y: 2, width: 3, height: 4 }];
  expect(counting(other, undefined, [])).toEqual({ boxes: other, begins: false });
  expect(counting(other, [], [])).toEqual({ boxes: other, begins: false });
  expect(counting(other, SAVED, [])).toEqual({ boxes: SAVED, begins: true });
  expect(counting(other, SAVED, SAVED)).toEqual({ boxes: other, begins: false });
  expect(counting(other, SAVED, null)).toEqual({ boxes: SAVED, begins: true });
});
