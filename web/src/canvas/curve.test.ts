import { describe, expect, it } from "vitest";
import { curveBox, distanceTo, samples, svgPath, type LinkStyle } from "./curve";

const styles: LinkStyle[] = ["curved", "straight", "angled"];

describe("links", () => {
  it.each(styles)("a %s link begins and ends at its sockets", (style) => {
    const line = samples([[0, 0], [300, 120], [100, 400]], style);
    expect(line[0]).toEqual([0, 0]);
    expect(line.at(-1)).toEqual([100, 400]);
    expect(distanceTo(line, [300, 120])).toBeLessThan(0.001);
  });

  it.each(styles)("a %s link lies in its box, forwards and backwards", (style) => {
    for (const points of [[[0, 0], [500, 300]], [[500, 300], [0, 0]], [[0, 0], [0, 900]]] as [number, number][][]) {
      const box = curveBox(points);
      for (const [x, y] of samples(points, style)) {
        expect(x).toBeGreaterThanOrEqual(box.x);
        expect(x).toBeLessThanOrEqual(box.x + box.width);
        expect(y).toBeGreaterThanOrEqual(box.y - 1);
        expect(y).toBeLessThanOrEqual(box.y + box.height + 1);
      }
    }
  });

  it("measures the distance to the nearest part", () => {
    expect(distanceTo([[0, 0], [10, 0]], [5, 3])).toBe(3);
    expect(distanceTo([[0, 0], [10, 0]], [14, 3])).toBe(5);
  });

  it("gives a path for SVG", () => {
    expect(svgPath([[0, 0], [10, 5]], "straight")).toBe("M0,0L10,5");
  });
});
