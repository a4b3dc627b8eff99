import { generations } from "@/graph/arrange";
import type { GraphRecord, NodeId } from "@/graph/types";
import type { Scene } from "./scene";

let last: { graph: GraphRecord; order: NodeId[] } | null = null;

/** Nodes as the data flow: sources first, from top to bottom within a step. */
export function readingOrder({ graph }: Pick<Scene, "graph">): NodeId[] {
  if (last?.graph === graph) return last.order;
  const y = (id: NodeId): number => graph.nodes[id]?.pos[1] ?? 0;
  const order = generations(graph).flatMap((ids) => [...ids].sort((a, b) => y(a) - y(b)));
  last = { graph, order };
  return order;
}
