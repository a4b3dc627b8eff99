/** Strokes of a brush on a canvas. */
import type { Size } from "../boxes/boxes";

export type Place = readonly [number, number];

export interface Brush {
  readonly kind: "brush" | "eraser";
  /** Across, in pixels of the canvas. */
  readonly size: number;
  readonly color: string;
  /** 0…1; a stroke that crosses itself is not denser there. */
  readonly opacity: number;
}

export const FIRST_BRUSH: Brush = { kind: "brush", size: 24, color: "#ffffff", opacity: 1 };
export const [SMALLEST, LARGEST] = [1, 512];

export function resized(brush: Brush, by: number): Brush {
  const next = by > 0 ? Math.max(brush.size + 1, Math.round(brush.size * 1.25)) : Math.min(brush.size - 1, Math.round(brush.size / 1.25));
  return { ...brush, size: Math.min(Math.max(next, SMALLEST), LARGEST) };
}

/** Where the arrow keys bring the brush: a quarter of its width, within the canvas. */
export function stepped([x, y]: Place, [dx, dy]: Place, brush: Brush, canvas: Size): Place {
  const step = Math.max(1, brush.size / 4);
  return [Math.min(Math.max(x + dx * step, 0), canvas.width), Math.min(Math.max(y + dy * step, 0), canvas.height)];
}

/** The canvas as it was, with one stroke over it. */
export function paint(context: CanvasRenderingContext2D, before: CanvasImageSource | null, places: readonly Place[], brush: Brush): void {
  const { canvas } = context;
  context.clearRect(0, 0, canvas.width, canvas.height);
  if (before !== null) context.drawImage(before, 0, 0, canvas.width, canvas.height);
  const [first, ...others] = places;
  if (first === undefined) return;
  context.save();
  context.globalCompositeOperation = brush.kind === "eraser" ? "destination-out" : "source-over";
  context.globalAlpha = brush.opacity;
  context.strokeStyle = brush.color;
  context.lineWidth = brush.size;
  context.lineCap = context.lineJoin = "round";
  context.beginPath();
  context.moveTo(...first);
  // A line to where it begins is a dot.
  for (const place of others.length > 0 ? others : [first]) context.lineTo(...place);
  context.stroke();
  context.restore();
}

export function copied(canvas: HTMLCanvasElement): HTMLCanvasElement {
  const copy = document.createElement("canvas");
  copy.width = canvas.width;
  copy.height = canvas.height;
  copy.getContext("2d")?.drawImage(canvas, 0, 0);
  return copy;
}

export function pngOf(canvas: HTMLCanvasElement): Promise<Blob> {
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob === null ? reject(new Error("The browser could not make a picture of it; the canvas may be too large.")) : resolve(blob)), "image/png");
  });
}
