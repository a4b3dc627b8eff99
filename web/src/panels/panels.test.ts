// @vitest-environment happy-dom
import { expect, test } from "vitest";
import { reportText } from "./report";
import { bytes, day, seconds } from "./times";
import { short } from "./ValueView";
import { placeFor } from "./WirePopover";

test("numbers are short", () => {
  expect([0, 1, -3.21987, 12345.678, 1234567, 0.00001234, 0.5, Number.NaN].map(short)).toEqual(["0", "1", "-3.22", "12350", "1.23e+6", "1.23e-5", "0.5", "NaN"]);
  expect([12, 4280, 49_200, 1_500_000].map(bytes)).toEqual(["12 bytes", "4.28 kB", "49.2 kB", "1.50 MB"]);
  expect([3.4, 61].map(seconds)).toEqual(["3 s", "1 min 01 s"]);
});

test("days have names", () => {
  const now = new Date(2026, 4, 5, 1, 0).getTime();
  expect(day(now, now)).toBe("Today");
  expect(day(now - 2 * 3_600_000, now)).toBe("Yesterday");
  expect(day(now - 5 * 86_400_000, now)).toMatch(/30/);
});

test("the value of a link stays inside the page", () => {
  const page = { width: 1000, height: 700 };
  expect(placeFor({ x: 100, y: 100 }, 250, 300, page)).toEqual({ left: 114, top: 114 });
  expect(placeFor({ x: 950, y: 690 }, 250, 300, page)).toEqual({ left: 686, top: 392 });
  expect(placeFor({ x: 10, y: 0 }, 2000, 900, page)).toEqual({ left: 8, top: 8 });
});

test("a report names node, versions and the log, and needs none of them", () => {
  const job = { execution_error: { node_id: "5", node_type: "KSampler", exception_type: "ValueError", exception_message: "No.", traceback: ["a\n", "b\n"], current_inputs: { seed: ["1"] } } };
  const text = reportText({ job: job as never, stats: { system: { safelight_version: "1" }, devices: [{ name: "cpu", type: "cpu", vram_total: 0, vram_free: 0 }] }, log: [{ t: "t", m: "line\n" }] });
  for (const part of ["Node 5 (KSampler): ValueError", "No.", "- seed: 1", "safelight_version: 1", "device: cpu", "t line", "a\nb"]) expect(text).toContain(part);
  expect(reportText({ job: null, stats: null, log: [] })).toContain("# Error report");
});
