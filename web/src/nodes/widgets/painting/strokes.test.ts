import { expect, test } from "vitest";
import { newName } from "./drawings";
import { FIRST_BRUSH, LARGEST, resized, SMALLEST, stepped } from "./strokes";

test("files are named as the field's front end names them", () => {
  expect(newName("81", 1793022443249)).toBe("painter-81-1793022443249.png");
});

test("the brush grows and shrinks at any size, within its bounds", () => {
  expect([resized(FIRST_BRUSH, 1).size, resized(FIRST_BRUSH, -1).size]).toEqual([30, 19]);
  expect([resized({ ...FIRST_BRUSH, size: 1 }, 1).size, resized({ ...FIRST_BRUSH, size: SMALLEST }, -1).size, resized({ ...FIRST_BRUSH, size: LARGEST }, 1).size]).toEqual([2, SMALLEST, LARGEST]);
});

test("arrow keys move the brush by a quarter of its width, and not off the canvas", () => {
  const canvas = { width: 100, height: 50 };
  expect(stepped([10, 10], [1, 0], FIRST_BRUSH, canvas)).toEqual([16, 10]);
  expect(stepped([98, 49], [1, 1], FIRST_BRUSH, canvas)).toEqual([100, 50]);
});
