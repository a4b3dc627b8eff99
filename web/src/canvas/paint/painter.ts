/** Draws what lies behind the mounted nodes: the grid, groups, links and reroutes; below the zoom limit the nodes too. */
import { socketToken } from "@/theme/sockets";
import { themeColor } from "@/theme/theme";
import type { Box, LinkId, NodeId } from "@/graph/types";
import { overlaps } from "../boxes";
import { type LinkStyle, tracePath } from "../curve";
import type { Scene, SceneLink } from "../scene";
import { drawGrid } from "./grid";
import { drawGroups } from "./groups";
import { drawOverviewNodes, type NodeLook } from "./overview";
import { drawSides } from "./sides";

export interface View {
  readonly x: number;
  readonly y: number;
  readonly zoom: number;
}

export interface Picture {
  readonly scene: Scene;
  readonly view: View;
  readonly width: number;
  readonly height: number;
  readonly ratio: number;
  /** Pixels along each edge that are left empty. */
  readonly bare: number;
  readonly overview: boolean;
  readonly grid: number | null;
  readonly linkStyle: LinkStyle;
  readonly linksVisible: boolean;
  readonly dim: boolean;
  readonly strong: ReadonlySet<LinkId>;
  readonly hoverLink: LinkId | null;
  readonly detached: LinkId | null;
  readonly selection: { readonly nodes: ReadonlySet<string>; readonly links: ReadonlySet<string>; readonly groups: ReadonlySet<string>; readonly reroutes: ReadonlySet<string> };
  readonly lookOf: (id: NodeId) => NodeLook | null;
}

export function paint(context: CanvasRenderingContext2D, picture: Picture): void {
  const { view, ratio, width, height, bare } = picture;
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, width * ratio, height * ratio);
  context.save();
  context.beginPath();
  context.rect(bare * ratio, bare * ratio, (width - 2 * bare) * ratio, (height - 2 * bare) * ratio);
  context.clip();
  if (picture.grid !== null) drawGrid(context, picture, picture.grid);
  const scale = view.zoom * ratio;
  context.setTransform(scale, 0, 0, scale, view.x * ratio, view.y * ratio);
  const seen: Box = { x: (bare - view.x) / view.zoom, y: (bare - view.y) / view.zoom, width: (width - 2 * bare) / view.zoom, height: (height - 2 * bare) / view.zoom };
  drawGroups(context, picture, seen);
  drawSides(context, picture);
  if (picture.linksVisible) drawLinks(context, picture, seen);
  drawReroutes(context, picture, seen);
  if (picture.overview) drawOverviewNodes(context, picture, seen);
  context.restore();
}

/** Paths of all links by colour, kept while the scene's links stay the same. */
const pathCache = new WeakMap<readonly SceneLink[], { style: LinkStyle; paths: Map<string, Path2D> }>();

function pathsByType(links: readonly SceneLink[], style: LinkStyle): Map<string, Path2D> {
  const known = pathCache.get(links);
  if (known?.style === style) return known.paths;
  const paths = new Map<string, Path2D>();
  for (const link of links) addPath(paths, link, style);
  pathCache.set(links, { style, paths });
  return paths;
}

function addPath(paths: Map<string, Path2D>, link: SceneLink, style: LinkStyle): void {
  const token = socketToken(link.type);
  let path = paths.get(token);
  if (path === undefined) paths.set(token, (path = new Path2D()));
  tracePath(path, link.points, style, link.lane);
}

function drawLinks(context: CanvasRenderingContext2D, picture: Picture, seen: Box): void {
  const { scene, linkStyle, view } = picture;
  context.lineCap = "round";
  context.lineJoin = "round";
  // Thinner than a pixel would be pale; much thicker would hide the picture.
  context.lineWidth = Math.max(Number.parseFloat(themeColor("--link-width")) || 2.25, 1 / view.zoom);
  context.globalAlpha = picture.dim ? 0.28 : 0.92;
  if (picture.overview) {
    strokeAll(context, pathsByType(scene.links, linkStyle));
  } else {
    const paths = new Map<string, Path2D>();
    for (const link of scene.links) {
      if (link.id !== picture.detached && overlaps(link.box, seen)) addPath(paths, link, linkStyle);
    }
    context.save();
    context.lineWidth += 2.5;
    context.strokeStyle = themeColor("--bg-canvas");
    for (const path of paths.values()) context.stroke(path);
    context.restore();
    strokeAll(context, paths);
  }
  context.globalAlpha = 1;
  drawStrong(context, picture, seen);
}

function strokeAll(context: CanvasRenderingContext2D, paths: ReadonlyMap<string, Path2D>): void {
  for (const [token, path] of paths) {
    context.strokeStyle = themeColor(token);
    context.stroke(path);
  }
}

/** The link under the pointer, selected links and those of selected nodes stand out. */
function drawStrong(context: CanvasRenderingContext2D, picture: Picture, seen: Box): void {
  const { scene, linkStyle, selection, hoverLink } = picture;
  const width = context.lineWidth;
  for (const link of scene.links) {
    const chosen = selection.links.has(link.id);
    const near = picture.strong.has(link.id);
    if (!(chosen || near || link.id === hoverLink) || link.id === picture.detached || !overlaps(link.box, seen)) continue;
    const path = new Path2D();
    tracePath(path, link.points, linkStyle, link.lane);
    if (chosen) {
      context.strokeStyle = themeColor("--node-selected");
      context.lineWidth = width + 4;
      context.stroke(path);
    }
    context.strokeStyle = themeColor(socketToken(link.type));
    context.lineWidth = width + (link.id === hoverLink ? 2 : 1);
    context.stroke(path);
  }
}

function drawReroutes(context: CanvasRenderingContext2D, picture: Picture, seen: Box): void {
  for (const reroute of picture.scene.reroutes.values()) {
    const [x, y] = reroute.at;
    if (!overlaps({ x: x - 8, y: y - 8, width: 16, height: 16 }, seen)) continue;
    context.beginPath();
    context.arc(x, y, 6, 0, 2 * Math.PI);
    context.fillStyle = themeColor(socketToken(reroute.type));
    context.fill();
    context.lineWidth = picture.selection.reroutes.has(reroute.id) ? 3 : 2;
    context.strokeStyle = themeColor(picture.selection.reroutes.has(reroute.id) ? "--node-selected" : "--bg-canvas");
    context.stroke();
  }
}
