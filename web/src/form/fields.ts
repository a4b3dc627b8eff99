/** The fields of the form: what the workflow exposes, with the input each stands for. */
import type { InputDefinition } from "@/graph/definitions";
import { inputOf, type Definitions } from "@/graph/definitions";
import { definitionOf } from "@/graph/instances";
import { narrowed } from "@/graph/parameterChecks";
import { addParameter, listParameters, nodeAt } from "@/graph/parameters";
import type { DocumentState, DocumentStore } from "@/graph/store";
import { MODE_NORMAL, ROOT, type Document, type GraphId, type Json, type NodeRecord } from "@/graph/types";
import { isLinked, widgetValue } from "@/graph/widgets";

export interface FormField {
  name: string;
  label: string;
  graph: GraphId;
  /** Id of the node in prompts. */
  place: string;
  node: NodeRecord;
  input: InputDefinition;
  value: Json;
}

/** Fields in their order; marks whose node or input is gone, or whose value comes through a link, are left out. */
export function formFields({ document, definitions }: Pick<DocumentState, "document" | "definitions">): FormField[] {
  return listParameters(document).flatMap(({ name, node: id, input: inputName, label, ...facts }) => {
    const found = nodeAt(document, id);
    const definition = found ? definitionOf(document, definitions, found.node, found.graphId) : undefined;
    const input = inputOf(definition, inputName);
    if (!found || !input || isLinked(found.node, inputName)) return [];
    return [{ name, label: label ?? titled(name), graph: found.graphId, place: id, node: found.node, input: narrowed(input, facts), value: widgetValue(found.node, input) }];
  });
}

/** `sampler_name` → "Sampler name". */
export function titled(name: string): string {
  const words = name.replaceAll("_", " ").trim();
  if (/^(cfg|vae|clip|lora)$/i.test(words)) return words.toUpperCase();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** Inputs that people most often want in a form, in the order in which they read best. */
const USUAL = [/^(text|prompt)$/, /^image$/, /^(noise_)?seed$/, /^steps$/, /^cfg$/, /^denoise$/, /^(width|height)$/, /^batch_size$/, /^(ckpt|lora)_name$/];

export function suggestedMarks(document: Document, definitions: Definitions): { name: string; node: string; input: string }[] {
  const graph = document.graphs[ROOT];
  const found: { rank: number; name: string; node: string; input: string }[] = [];
  for (const node of Object.values(graph?.nodes ?? {})) {
    if (node.mode !== MODE_NORMAL) continue;
    const definition = definitions.get(node.type);
    for (const input of definition?.inputs ?? []) {
      const rank = USUAL.findIndex((pattern) => pattern.test(input.name));
      if (rank < 0 || input.kind === "socket" || isLinked(node, input.name)) continue;
      const plain = input.name === "text" ? (node.title ?? "prompt").toLowerCase().replace(/[^a-z0-9]+/g, "_") : input.name.replace(/^(noise_|ckpt_name$)/, (part) => (part === "ckpt_name" ? "checkpoint" : ""));
      found.push({ rank, name: plain || input.name, node: node.id, input: input.name });
    }
  }
  return found.sort((a, b) => a.rank - b.rank);
}

export function exposeUsual(store: DocumentStore): number {
  const { document, definitions, edit } = store.getState();
  const marks = suggestedMarks(document, definitions);
  edit("Expose the usual inputs", (draft) => {
    for (const mark of marks) addParameter(draft, mark);
  });
  return marks.length;
}
