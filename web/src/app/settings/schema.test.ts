import { describe, expect, it } from "vitest";
import { isValid, searchSections, SECTIONS } from "./schema";
import { DEFAULTS } from "./values";

describe("settings", () => {
  it("have valid defaults", () => {
    for (const row of SECTIONS.flatMap((section) => section.rows)) expect(isValid(row.key, DEFAULTS[row.key]), row.key).toBe(true);
  });

  it("refuse stored values that cannot be right", () => {
    expect(isValid("theme", "pink")).toBe(false);
    expect(isValid("canvas.gridSize", 1e9)).toBe(false);
    expect(isValid("canvas.snap", "yes")).toBe(false);
    expect(isValid("keys", [])).toBe(false);
    expect(isValid("recent", ["a.json"])).toBe(true);
  });

  it("are found by any of their words", () => {
    expect(searchSections("grid size").flatMap(({ rows }) => rows.map(({ key }) => key))).toEqual(["canvas.gridSize"]);
    expect(searchSections("no such thing")).toEqual([]);
  });
});
