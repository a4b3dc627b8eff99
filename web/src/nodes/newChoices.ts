import type { InputDefinition, NodeDefinition } from "@/graph/definitions";
import type { DocumentStore } from "@/graph/store";

/** A file that was just uploaded becomes a choice of every widget that takes such files, before the lists are asked for again. */
export function rememberChoice(store: DocumentStore, input: InputDefinition, name: string): void {
  const { definitions, setDefinitions } = store.getState();
  if (input.upload === undefined || input.choices?.includes(name)) return;
  const next = new Map(definitions);
  for (const [type, definition] of definitions) {
    if (definition.inputs.some((one) => takes(one, input))) next.set(type, withChoice(definition, input, name));
  }
  setDefinitions(next);
}

function takes(one: InputDefinition, input: InputDefinition): boolean {
  return one.upload === input.upload && one.kind === "combo";
}

function withChoice(definition: NodeDefinition, input: InputDefinition, name: string): NodeDefinition {
  const inputs = definition.inputs.map((one) => (takes(one, input) && !one.choices?.includes(name) ? { ...one, choices: [...(one.choices ?? []), name] } : one));
  return { ...definition, inputs };
}
