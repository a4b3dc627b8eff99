import { expect, test } from "vitest";
import { parseInput } from "@/graph/definitions";
import { fileNamed, nameOf, uploadKind } from "./fileNames";

test.each([
  ["a.png", { filename: "a.png", subfolder: "", type: "input" }],
  ["webcam/17.png [temp]", { filename: "17.png", subfolder: "webcam", type: "temp" }],
  ["a/b/c [1].wav [output]", { filename: "c [1].wav", subfolder: "a/b", type: "output" }],
])("%s names a file, and back", (value, file) => {
  expect(fileNamed(value)).toEqual(file);
  expect(nameOf(file)).toBe(value);
});

test("nothing names no file; painted ones say that they are inputs", () => {
  for (const value of ["", "  ", null, 3, []]) expect(fileNamed(value)).toBeNull();
  expect(fileNamed("painter-3-17.png [input]")).toEqual({ filename: "painter-3-17.png", subfolder: "", type: "input" });
});

test("what can be dropped on a widget", () => {
  const kind = (entry: unknown[]) => uploadKind(parseInput("file", entry as never, true));
  expect(kind([["a.mp4"], { video_upload: true }])).toBe("video");
  expect(kind(["AUDIO_RECORD", {}])).toBe("audio");
  expect(kind(["CURVE", {}])).toBeUndefined();
});
