/** Nodes for React Flow: only boxes. What a node shows, it reads from the document by its id. */
import type { Node } from "@xyflow/react";
import type { NodeId } from "@/graph/types";
import type { Scene, SceneNode } from "./scene";

export const NO_NODES: Node[] = [];
const NO_DATA = {};
/** An empty list of handles says that there is nothing to measure: links are drawn from the scene. */
const NO_HANDLES: [] = [];

const made = new WeakMap<SceneNode, [plain: Node | null, raised: Node | null]>();

function flowNode(node: SceneNode, raised: boolean): Node {
  const pair = made.get(node) ?? [null, null];
  made.set(node, pair);
  const at = raised ? 1 : 0;
  return (pair[at] ??= {
    id: node.id,
    type: "node",
    position: { x: node.x, y: node.y },
    width: node.width,
    height: node.height,
    measured: { width: node.width, height: node.height },
    handles: NO_HANDLES,
    zIndex: raised ? 1 : 0,
    data: NO_DATA,
  });
}

export function flowNodes(scene: Scene, raised: ReadonlySet<NodeId>): Node[] {
  return scene.nodes.map((node) => flowNode(node, raised.has(node.id)));
}
