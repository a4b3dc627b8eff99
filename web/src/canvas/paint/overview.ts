import { MODE_BYPASSED, MODE_MUTED, type Box } from "@/graph/types";
import { TITLE_HEIGHT } from "@/graph/layout";
import { themeColor } from "@/theme/theme";
import { overlaps } from "../boxes";
import type { SceneNode } from "../scene";
import { roundRect } from "./groups";
import type { Picture } from "./painter";

/** How a node's run shows while nodes are only drawn. */
export interface NodeLook {
  readonly state: "running" | "error" | "finished" | "reused";
  readonly progress: number;
}

const OUTLINES: Readonly<Record<NodeLook["state"], string | null>> = {
  running: "--node-running",
  error: "--node-error",
  finished: null,
  reused: null,
};

/** Nodes as plain shapes: one fill for all bodies of a colour, so that thousands cost little. */
export function drawOverviewNodes(context: CanvasRenderingContext2D, picture: Picture, seen: Box): void {
  const bodies = new Map<string, Path2D>();
  const heads = new Map<string, Path2D>();
  const shown: SceneNode[] = [];
  for (const node of picture.scene.nodes) {
    if (!overlaps(node, seen)) continue;
    shown.push(node);
    const fill = bodyColor(node);
    pathOf(bodies, fill).rect(node.x, node.y, node.width, node.height);
    pathOf(heads, node.record.color ?? themeColor("--node-header")).rect(node.x, node.y, node.width, TITLE_HEIGHT);
  }
  fillAll(context, bodies);
  fillAll(context, heads);
  drawOutlines(context, picture, shown);
  drawTitles(context, picture, shown);
}

function bodyColor(node: SceneNode): string {
  if (node.missing) return themeColor("--node-missing");
  if (node.record.mode === MODE_BYPASSED) return themeColor("--node-bypass");
  if (node.record.mode === MODE_MUTED) return themeColor("--border-soft");
  return node.record.bgcolor ?? themeColor("--border-strong");
}

function pathOf(paths: Map<string, Path2D>, color: string): Path2D {
  let path = paths.get(color);
  if (path === undefined) paths.set(color, (path = new Path2D()));
  return path;
}

function fillAll(context: CanvasRenderingContext2D, paths: ReadonlyMap<string, Path2D>): void {
  for (const [color, path] of paths) {
    context.fillStyle = color;
    context.fill(path);
  }
}

function drawOutlines(context: CanvasRenderingContext2D, picture: Picture, nodes: readonly SceneNode[]): void {
  const width = 2 / picture.view.zoom;
  for (const node of nodes) {
    const look = picture.lookOf(node.id);
    const outline = look && OUTLINES[look.state];
    if (look?.state === "running") {
      context.fillStyle = themeColor("--node-running");
      context.fillRect(node.x, node.y, node.width * look.progress, TITLE_HEIGHT / 2);
    }
    const color = outline ?? (picture.selection.nodes.has(node.id) ? "--node-selected" : null);
    if (color === null) continue;
    context.strokeStyle = themeColor(color);
    context.lineWidth = width;
    roundRect(context, node.x - width, node.y - width, node.width + 2 * width, node.height + 2 * width, 8);
    context.stroke();
  }
}

function drawTitles(context: CanvasRenderingContext2D, picture: Picture, nodes: readonly SceneNode[]): void {
  const { zoom } = picture.view;
  const size = Math.min(11 / zoom, 60);
  // Below this there is no room for a readable word.
  if (zoom < 0.13 || nodes.length > 700) return;
  context.font = `600 ${size}px system-ui, sans-serif`;
  context.textBaseline = "middle";
  context.fillStyle = themeColor("--node-text");
  for (const node of nodes) {
    const title = node.record.title ?? node.definition?.title ?? node.record.type;
    const fits = Math.floor((node.width - 12) / (size * 0.55));
    if (fits < 3) continue;
    const text = title.length > fits ? `${title.slice(0, fits - 1)}…` : title;
    const y = node.height > TITLE_HEIGHT * 1.6 ? node.y + TITLE_HEIGHT + Math.min(size, (node.height - TITLE_HEIGHT) / 2) : node.y + TITLE_HEIGHT / 2;
    context.fillText(text, node.x + 8, y);
  }
}
