/** Texts with choices and comments: what a run made of them, shown where they were written. */
import { inputOf } from "@/graph/definitions";
import { effective } from "@/graph/effective";
import { definitionOf } from "@/graph/instances";
import { nodeAt, promptId } from "@/graph/scope";
import type { DocumentState } from "@/graph/store";
import type { JsonObject } from "@/graph/types";
import { changeNode } from "@/run/frames";
import { useWorkspace } from "@/workflows/workspace";

interface PromptNode {
  readonly inputs?: Readonly<Record<string, unknown>>;
}

/** Prompt id of a node → name of its widget → the text that ran in its place. */
export type RanTexts = Record<string, Record<string, string>>;

/** The texts of a prompt that read otherwise than they were written. A text that several inputs took shows the first. */
export function ranTexts(world: Pick<DocumentState, "document" | "definitions">, prompt: JsonObject): RanTexts {
  const found: RanTexts = {};
  for (const [id, node] of Object.entries(prompt as Readonly<Record<string, PromptNode>>)) {
    const place = nodeAt(world.document, id);
    if (place === null) continue;
    const definition = definitionOf(world.document, world.definitions, place.node, place.graphId);
    for (const [name, text] of Object.entries(node.inputs ?? {})) {
      if (typeof text !== "string" || inputOf(definition, name)?.dynamicPrompts !== true) continue;
      const source = effective(world, place.path, place.node.id, name);
      if (typeof source === "string" || typeof source.value !== "string" || source.value === text) continue;
      const written = (found[promptId(source.path, source.node)] ??= {});
      written[source.name] ??= text;
      (found[id] ??= {})[name] ??= text;
    }
  }
  return found;
}

export function tellRanTexts(tab: string, prompt: JsonObject): void {
  const store = useWorkspace.getState().tabs.find((one) => one.id === tab)?.store;
  if (store === undefined) return;
  for (const [id, texts] of Object.entries(ranTexts(store.getState(), prompt))) changeNode(tab, id, { texts });
}
