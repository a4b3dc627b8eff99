import { describe, expect, it } from "vitest";
import type { TabRecord } from "./database";
import { inherit } from "./inherit";

function record(window: string, id: string, at: number, more: Partial<TabRecord> = {}): TabRecord {
  return { window, id, name: id, path: null, json: {}, unsaved: false, active: true, order: 0, at, ...more };
}

const ids = (records: readonly TabRecord[]) => records.map(({ id }) => id);

describe("what a new window takes over", () => {
  it("is the last window that held anything, and unsaved work of the others", () => {
    const { taken, dropped } = inherit([
      record("old", "saved", 1, { path: "a.json" }),
      record("old", "edited", 2, { unsaved: true }),
      record("last", "file", 3, { path: "b.json" }),
      record("last", "template", 3),
      record("idle", "untouched", 9),
    ]);
    expect(ids(taken)).toEqual(["file", "template", "edited"]);
    expect(ids(dropped)).toEqual(["saved", "untouched"]);
  });

  it("is the last window when none held anything", () => {
    const { taken, dropped } = inherit([record("idle", "untouched", 9), record("older", "template", 3)]);
    expect(ids(taken)).toEqual(["untouched"]);
    expect(ids(dropped)).toEqual(["template"]);
  });
});
