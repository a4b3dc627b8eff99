import { expect, test } from "vitest";
import { parseInput } from "./definitions";
import { defaultValue } from "./values";

const read = (entry: unknown[]) => parseInput("one", entry as never, true);

test.each([
  ["CURVE", {}, "curve", "json", 210],
  ["RANGE", {}, "range", "json", 44],
  ["BOUNDING_BOXES", {}, "boxes", "json", 300],
  ["AUDIO_RECORD", {}, "recording", "string", 66],
  ["WEBCAM", {}, "camera", "string", 200],
  ["STRING", { multiline: true, code: "glsl" }, "code", "string", 180],
  ["STRING", { widgetType: "PAINTER" }, "painting", "string", 330],
])("%s %j is drawn as a %s", (type, options, surface, kind, height) => {
  expect(read([type, options])).toMatchObject({ surface, kind, height });
});

test("what only comes over links, or is kept for another, has no surface", () => {
  expect(read(["CURVE", { forceInput: true }])).toMatchObject({ kind: "socket", surface: undefined, height: undefined });
  expect(read(["BOUNDING_BOXES", { advanced: true }])).toMatchObject({ kind: "json", surface: undefined, height: undefined });
  expect(read(["COMPOSITOR", {}])).toMatchObject({ kind: "json", surface: undefined });
});

test("names of files begin empty", () => {
  expect([defaultValue(read(["AUDIO_RECORD", {}])), defaultValue(read(["WEBCAM", {}])), defaultValue(read(["CURVE", {}]))]).toEqual(["", "", null]);
});
