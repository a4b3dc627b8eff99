/** The two borders of a subgraph as seen from inside: its inputs on the left, its outputs on the right. */
import { type Box, INPUT_SIDE, type NodeId, OUTPUT_SIDE, type Point, type PublishedSlot, type SubgraphInfo } from "@/graph/types";

const ROW = 22;
const HEAD = 30;
const EDGE = 12;

export interface SideSlot {
  readonly slot: PublishedSlot | null;
  readonly index: number;
  readonly at: Point;
}

export interface SideBox {
  readonly id: NodeId;
  readonly side: "input" | "output";
  readonly box: Box;
  /** One more than there are: dropping a link on the last one publishes a new slot. */
  readonly slots: readonly SideSlot[];
}

export function sideBox(info: SubgraphInfo, side: "input" | "output"): SideBox {
  const published = side === "input" ? info.inputs : info.outputs;
  const placed = side === "input" ? info.inputBox : info.outputBox;
  const height = Math.max(placed.height, HEAD + (published.length + 1) * ROW + EDGE);
  const box = { x: placed.x, y: placed.y, width: Math.max(placed.width, 120), height };
  const x = side === "input" ? box.x + box.width - EDGE : box.x + EDGE;
  const slots = [...published, null].map((slot, index) => ({
    slot,
    index,
    at: [x, box.y + HEAD + index * ROW + ROW / 2] as const,
  }));
  return { id: side === "input" ? INPUT_SIDE : OUTPUT_SIDE, side, box, slots };
}
