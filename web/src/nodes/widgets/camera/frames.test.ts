import { expect, test } from "vitest";
import { frameSize } from "./frames";

test("a picture of a camera has the wanted size, the camera's own, or its proportions", () => {
  const camera = { width: 640, height: 480 };
  expect(frameSize(camera, 0, 0)).toEqual(camera);
  expect(frameSize(camera, 320, 0)).toEqual({ width: 320, height: 240 });
  expect(frameSize(camera, 0, 960)).toEqual({ width: 1280, height: 960 });
  expect(frameSize(camera, 100, 100)).toEqual({ width: 100, height: 100 });
});
