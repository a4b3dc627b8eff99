import type { Box, NodeId, Point } from "@/graph/types";
import { overlaps } from "../boxes";
import type { Scene } from "../scene";
import type { Guide } from "../ui";

/** Pulls a dragged box in line with the edges and middles of its neighbours. */
export function alignment(scene: Scene, moving: ReadonlySet<NodeId>, box: Box, delta: Point, reach: number): { delta: Point; guides: Guide[] } {
  const placed = { ...box, x: box.x + delta[0], y: box.y + delta[1] };
  const near = { x: placed.x - 1200, y: placed.y - 1200, width: placed.width + 2400, height: placed.height + 2400 };
  const others = scene.nodes.filter((node) => !moving.has(node.id) && overlaps(node, near));
  const across = nearest(others, placed, "x", reach);
  const down = nearest(others, placed, "y", reach);
  const guides: Guide[] = [];
  if (across) guides.push({ axis: "x", at: across.at, from: Math.min(across.other.y, placed.y), to: Math.max(across.other.y + across.other.height, placed.y + placed.height) });
  if (down) guides.push({ axis: "y", at: down.at, from: Math.min(down.other.x, placed.x), to: Math.max(down.other.x + down.other.width, placed.x + placed.width) });
  return { delta: [delta[0] + (across?.shift ?? 0), delta[1] + (down?.shift ?? 0)], guides };
}

interface Match {
  readonly at: number;
  readonly shift: number;
  readonly other: Box;
}

function nearest(others: readonly Box[], box: Box, axis: "x" | "y", reach: number): Match | null {
  const length = axis === "x" ? "width" : "height";
  let best: Match | null = null;
  const own = [box[axis], box[axis] + box[length] / 2, box[axis] + box[length]];
  for (const other of others) {
    const lines = [other[axis], other[axis] + other[length] / 2, other[axis] + other[length]];
    lines.forEach((line, i) => {
      own.forEach((edge, j) => {
        // Middles go with middles only: anything else looks like chance.
        if ((i === 1) !== (j === 1)) return;
        const shift = line - edge;
        if (Math.abs(shift) <= reach && (best === null || Math.abs(shift) < Math.abs(best.shift))) best = { at: line, shift, other };
      });
    });
  }
  return best;
}
