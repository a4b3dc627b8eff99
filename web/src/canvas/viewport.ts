/** Moving the view, on top of React Flow's own pan and zoom. */
import type { ReactFlowInstance, Viewport } from "@xyflow/react";
import type { Box, Point, View } from "@/graph/types";
import type { ClientPoint } from "./types";

export const MIN_ZOOM = 0.04;
export const MAX_ZOOM = 4;
/** Nodes are drawn rather than mounted below the first and mounted again above the second. */
export const OVERVIEW_BELOW = 0.33;
export const OVERVIEW_ABOVE = 0.37;

export function isOverview(zoom: number, before: boolean): boolean {
  return before ? zoom < OVERVIEW_ABOVE : zoom < OVERVIEW_BELOW;
}

/** The view that shows all of `box` in a window of the given size. */
export function viewOf(box: Box, width: number, height: number, largest = 1): Viewport {
  const margin = Math.min(64, width * 0.08, height * 0.08);
  const zoom = Math.min(largest, Math.max(MIN_ZOOM, Math.min((width - 2 * margin) / box.width, (height - 2 * margin) / box.height)));
  return {
    zoom,
    x: width / 2 - (box.x + box.width / 2) * zoom,
    y: height / 2 - (box.y + box.height / 2) * zoom,
  };
}

/** The view of a graph that is seen for the first time: a little above the middle, as messages come from below. */
export function openingView(box: Box, width: number, height: number): Viewport {
  const view = viewOf(box, width, height);
  const room = height - box.height * view.zoom;
  return { ...view, y: room * 0.36 - box.y * view.zoom };
}

/** Files keep the view as scale and an offset in graph units. */
export function fromFile(view: View): Viewport {
  const zoom = Math.min(MAX_ZOOM, Math.max(MIN_ZOOM, view.scale));
  return { zoom, x: view.offset[0] * zoom, y: view.offset[1] * zoom };
}

export function toFile(viewport: Viewport): View {
  return { scale: viewport.zoom, offset: [viewport.x / viewport.zoom, viewport.y / viewport.zoom] };
}

export function calm(): boolean {
  return document.documentElement.dataset["motion"] === "reduced" || window.matchMedia("(prefers-reduced-motion: reduce)").matches;
}

/** Duration of a movement of the view in ms, none for people who want none. */
export function duration(): number {
  return calm() ? 0 : 180;
}

export function toGraph(flow: ReactFlowInstance, root: HTMLElement, client: ClientPoint): Point {
  const { left, top } = root.getBoundingClientRect();
  const { x, y, zoom } = flow.getViewport();
  return [(client.x - left - x) / zoom, (client.y - top - y) / zoom];
}

export function toClient(flow: ReactFlowInstance, root: HTMLElement, [gx, gy]: Point): ClientPoint {
  const { left, top } = root.getBoundingClientRect();
  const { x, y, zoom } = flow.getViewport();
  return { x: gx * zoom + x + left, y: gy * zoom + y + top };
}
