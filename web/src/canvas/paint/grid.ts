import { themeColor, themeVersion } from "@/theme/theme";
import type { Picture } from "./painter";

let tile: { key: string; pattern: CanvasPattern } | null = null;

/** Dots at a distance that stays easy on the eye at every zoom. */
export function drawGrid(context: CanvasRenderingContext2D, picture: Picture, grid: number): void {
  const { view, ratio, width, height } = picture;
  let step = Math.max(grid, 4) * 2;
  while (step * view.zoom < 18) step *= 2;
  const size = step * view.zoom * ratio;
  const pattern = dots(context, Math.round(size), ratio);
  if (pattern === null) return;
  const scale = size / Math.round(size);
  pattern.setTransform(new DOMMatrix([scale, 0, 0, scale, (view.x * ratio) % size, (view.y * ratio) % size]));
  context.fillStyle = pattern;
  context.fillRect(0, 0, width * ratio, height * ratio);
}

function dots(context: CanvasRenderingContext2D, size: number, ratio: number): CanvasPattern | null {
  const key = `${size} ${ratio} ${themeVersion()}`;
  if (tile?.key === key) return tile.pattern;
  const picture = document.createElement("canvas");
  picture.width = picture.height = size;
  const brush = picture.getContext("2d");
  if (brush === null) return null;
  brush.fillStyle = themeColor("--canvas-grid-strong");
  const dot = Math.max(1, Math.round(1.25 * ratio));
  brush.fillRect(0, 0, dot, dot);
  const pattern = context.createPattern(picture, "repeat");
  if (pattern !== null) tile = { key, pattern };
  return pattern;
}
