import { describe, expect, it } from "vitest";
import { rank } from "./rank";

describe("rank", () => {
  it("prefers the beginning of a title to the rest", () => {
    const scores = [rank("", "load", ["Load the default workflow"]), rank("", "load", ["Unload models"]), rank("", "load", ["Open file…", "import load"])];
    expect([...scores].sort((a, b) => b - a)).toEqual(scores);
    expect(new Set(scores).size).toBe(3);
  });

  it("leaves out what lacks a word", () => {
    expect(rank("", "zoom kernel", ["Zoom in"])).toBe(0);
  });
});
