/** What lies under a place of the graph, by the scene's boxes alone: the same whether nodes are mounted or drawn. */
import { TITLE_HEIGHT } from "@/graph/layout";
import type { Box, LinkId, NodeId, Point } from "@/graph/types";
import { holds, inPolygon, overlaps, within } from "./boxes";
import { distanceTo, samples, type LinkStyle } from "./curve";
import type { Scene, SceneGroup, SceneLink, SceneNode, SceneReroute } from "./scene";
import type { SocketRef } from "./types";

export const GROUP_TITLE = 30;
export const GROUP_CORNER = 16;

export function nodeUnder(scene: Scene, at: Point): SceneNode | null {
  for (let i = scene.nodes.length - 1; i >= 0; i -= 1) {
    const node = scene.nodes[i] as SceneNode;
    if (holds(node, at)) return node;
  }
  return null;
}

/** Distances along links, kept while a link stays where it is. */
const sampled = new WeakMap<SceneLink, { style: LinkStyle; line: Point[] }>();

function lineOf(link: SceneLink, style: LinkStyle): Point[] {
  const known = sampled.get(link);
  if (known?.style === style) return known.line;
  const line = samples(link.points, style, link.lane);
  sampled.set(link, { style, line });
  return line;
}

export function linkUnder(scene: Scene, at: Point, radius: number, style: LinkStyle): SceneLink | null {
  const around = { x: at[0] - radius, y: at[1] - radius, width: 2 * radius, height: 2 * radius };
  let [best, nearest]: [SceneLink | null, number] = [null, radius];
  for (const link of scene.links) {
    if (!overlaps(link.box, around)) continue;
    const distance = distanceTo(lineOf(link, style), at);
    if (distance <= nearest) [best, nearest] = [link, distance];
  }
  return best;
}

/** The middle of a link, for marks and for menus opened from the keyboard. */
export function middleOf(link: SceneLink, style: LinkStyle): Point {
  const line = lineOf(link, style);
  return line[Math.floor(line.length / 2)] ?? link.points[0] ?? [0, 0];
}

export function rerouteUnder(scene: Scene, at: Point, radius: number): SceneReroute | null {
  for (const reroute of scene.reroutes.values()) {
    if (Math.hypot(reroute.at[0] - at[0], reroute.at[1] - at[1]) <= radius) return reroute;
  }
  return null;
}

export interface GroupHit {
  readonly group: SceneGroup;
  readonly part: "title" | "corner" | "body";
}

export function groupUnder(scene: Scene, at: Point): GroupHit | null {
  for (let i = scene.groups.length - 1; i >= 0; i -= 1) {
    const group = scene.groups[i] as SceneGroup;
    if (!holds(group.box, at)) continue;
    const { x, y, width, height } = group.box;
    if (at[0] > x + width - GROUP_CORNER && at[1] > y + height - GROUP_CORNER) return { group, part: "corner" };
    return { group, part: at[1] < y + GROUP_TITLE ? "title" : "body" };
  }
  return null;
}

/** The socket nearest to a place, among those of the wanted side. */
export function socketUnder(scene: Scene, at: Point, side: "input" | "output", radius: number): SocketRef | null {
  let [best, nearest]: [SocketRef | null, number] = [null, radius];
  const consider = (ref: () => SocketRef, x: number, y: number): void => {
    const distance = Math.hypot(x - at[0], y - at[1]);
    if (distance < nearest) [best, nearest] = [ref(), distance];
  };
  for (const node of scene.nodes) {
    if (!overlaps({ x: node.x - radius, y: node.y - radius, width: node.width + 2 * radius, height: node.height + 2 * radius }, { x: at[0], y: at[1], width: 0.1, height: 0.1 })) continue;
    for (const handle of node.geometry.handles) {
      if (handle.side !== side) continue;
      consider(() => ({ node: node.id, side, slot: handle.slot, type: slotType(node, side, handle.slot) }), node.x + handle.x, node.y + handle.y);
    }
  }
  for (const box of scene.sides) {
    // Inside a subgraph its inputs are sources, so they play the part of outputs.
    if ((box.side === "input" ? "output" : "input") !== side) continue;
    for (const one of box.slots) {
      consider(() => ({ node: box.id, side, slot: one.index, type: one.slot?.type ?? "*" }), one.at[0], one.at[1]);
    }
  }
  return best;
}

export function slotType(node: SceneNode, side: "input" | "output", slot: number): string {
  return (side === "input" ? node.record.inputs[slot]?.type : node.record.outputs[slot]?.type) ?? "*";
}

/** Nodes touched by a box; groups, reroutes that lie wholly in it. */
export function insideBox(scene: Scene, box: Box): { nodes: NodeId[]; groups: string[]; reroutes: string[] } {
  return {
    nodes: scene.nodes.filter((node) => overlaps(node, box)).map((node) => node.id),
    groups: scene.groups.filter((group) => within(group.box, box)).map((group) => group.record.id),
    reroutes: [...scene.reroutes.values()].filter((one) => holds(box, one.at)).map((one) => one.id),
  };
}

/** What a lasso took: a node if its middle or two of its corners lie in it. */
export function insideLasso(scene: Scene, lasso: readonly Point[]): { nodes: NodeId[]; reroutes: string[] } {
  const caught = (box: Box): boolean => {
    const corners: Point[] = [
      [box.x, box.y + TITLE_HEIGHT / 2],
      [box.x + box.width, box.y + TITLE_HEIGHT / 2],
      [box.x, box.y + box.height],
      [box.x + box.width, box.y + box.height],
    ];
    const middle: Point = [box.x + box.width / 2, box.y + box.height / 2];
    return inPolygon(lasso, middle) || corners.filter((corner) => inPolygon(lasso, corner)).length >= 2;
  };
  return {
    nodes: scene.nodes.filter(caught).map((node) => node.id),
    reroutes: [...scene.reroutes.values()].filter((one) => inPolygon(lasso, one.at)).map((one) => one.id),
  };
}

export function linkById(scene: Scene, id: LinkId): SceneLink | undefined {
  return scene.links.find((link) => link.id === id);
}
