import type { Definitions, NodeDefinition } from "@/graph/definitions";

export interface Loader {
  definition: NodeDefinition;
  input: string;
}

/** The nodes that offer a model file as a choice, the simplest first: what adding a model from the library makes. */
export function loadersOf(definitions: Definitions, file: string): Loader[] {
  const found: Loader[] = [];
  for (const definition of definitions.values()) {
    const input = definition.inputs.find((one) => one.kind === "combo" && one.choices?.includes(file));
    if (input && !definition.deprecated) found.push({ definition, input: input.name });
  }
  return found.sort((a, b) => a.definition.inputs.length - b.definition.inputs.length || a.definition.title.localeCompare(b.definition.title));
}
