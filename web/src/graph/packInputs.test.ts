import { expect, test } from "vitest";
import { parseDefinition, parseInput } from "./definitions";
import { nodeGeometry, newSize, WIDGET_HEIGHT } from "./layout";
import type { NodeRecord } from "./types";
import { defaultValue } from "./values";

test("an input with a widget of a pack is a widget, whatever its type", () => {
  const points = parseInput("points", ["POINTS", { widgetType: "tests.points", widgetHeight: 90, default: [[0, 1]] }], true);
  expect(points).toMatchObject({ kind: "json", widget: "tests.points", height: 90 });
  expect(defaultValue(points)).toEqual([[0, 1]]);
  expect(defaultValue(parseInput("points", ["POINTS", { widgetType: "tests.points" }], true))).toBeNull();
  expect(parseInput("level", ["INT", { widgetType: "tests.level" }], true)).toMatchObject({ kind: "int", widget: "tests.level", height: undefined });
  expect(parseInput("linked", ["INT", { widgetType: "tests.level", forceInput: true }], true).kind).toBe("socket");
  expect(parseInput("points", ["POINTS", { widgetHeight: 90 }], true)).toMatchObject({ kind: "socket", height: undefined });
});

test("its row is as high as it asks for, and grows with its node", () => {
  const definition = parseDefinition("Points", { input: { required: { points: ["POINTS", { widgetType: "tests.points", widgetHeight: 90 }], level: ["INT", {}] } }, output: [] });
  const record = { id: "1", type: "Points", title: null, pos: [0, 0], inputs: [], outputs: [], size: null, collapsed: false, properties: {} } as unknown as NodeRecord;
  const size = newSize(record, definition);
  const heights = (body: number) => nodeGeometry({ ...record, size: [size[0], body] }, definition).rows.map((row) => row.height);
  expect(heights(size[1])).toEqual([94, WIDGET_HEIGHT]);
  expect(heights(size[1] + 50)).toEqual([144, WIDGET_HEIGHT]);
  expect(heights(10)).toEqual([94, WIDGET_HEIGHT]);
});

test("heights that no row can have are bounded", () => {
  const height = (value: number) => parseInput("x", ["X", { widgetType: "w", widgetHeight: value }], true).height;
  expect([height(-5), height(1e9), height(Number.NaN)]).toEqual([24, 1200, undefined]);
});
