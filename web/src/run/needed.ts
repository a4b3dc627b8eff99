/** Which nodes of a prompt a run needs. */
import type { Json, JsonObject } from "@/graph/types";

/** Whether a node of a prompt is one of the outputs that were asked for. */
export type IsSink = (id: string, classType: string) => boolean;

interface PromptNode {
  class_type?: string;
  inputs?: Record<string, Json>;
}

/** The sinks and all that they need; every node when there is no sink. */
export function neededNodes(prompt: JsonObject, isSink: IsSink): string[] {
  const nodes = prompt as Record<string, PromptNode>;
  const open = Object.keys(nodes).filter((id) => isSink(id, nodes[id]?.class_type ?? ""));
  if (open.length === 0) return Object.keys(nodes);
  const found = new Set<string>();
  for (let id = open.pop(); id !== undefined; id = open.pop()) {
    if (found.has(id)) continue;
    found.add(id);
    for (const source of sourcesOf(nodes[id])) if (source in nodes) open.push(source);
  }
  return [...found];
}

function sourcesOf(node: PromptNode | undefined): string[] {
  return Object.values(node?.inputs ?? {})
    .filter(isLink)
    .map(([id]) => id);
}

function isLink(value: Json): value is [string, number] {
  return Array.isArray(value) && value.length === 2 && typeof value[0] === "string" && typeof value[1] === "number";
}
