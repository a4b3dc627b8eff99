import { themeColor } from "@/theme/theme";
import type { Picture } from "./painter";

let strip: HTMLCanvasElement | null = null;

/**
 * Dots at a distance that stays easy on the eye at every zoom. One row is drawn dot by dot and then repeated: a pattern that
 * is scaled would cost more than all the rest of the picture.
 */
export function drawGrid(context: CanvasRenderingContext2D, picture: Picture, grid: number): void {
  const { view, ratio, width, height } = picture;
  let step = Math.max(grid, 4) * 2;
  while (step * view.zoom < 18) step *= 2;
  const size = step * view.zoom * ratio;
  const dot = Math.max(1, Math.round(1.25 * ratio));
  const row = rowOf(Math.round(width * ratio), dot, size, first(view.x * ratio, size));
  if (row === null) return;
  for (let y = first(view.y * ratio, size); y < height * ratio; y += size) context.drawImage(row, 0, Math.round(y));
}

/** Where the first dot is seen when one lies at `origin`. */
function first(origin: number, size: number): number {
  return (origin % size) - (origin > 0 ? size : 0);
}

function rowOf(width: number, dot: number, size: number, start: number): HTMLCanvasElement | null {
  strip ??= document.createElement("canvas");
  // Setting the width clears it too.
  strip.width = width;
  strip.height = dot;
  const brush = strip.getContext("2d");
  if (brush === null) return null;
  brush.fillStyle = themeColor("--canvas-grid-strong");
  for (let x = start; x < width; x += size) brush.fillRect(Math.round(x), 0, dot, dot);
  return strip;
}
