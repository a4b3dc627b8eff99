import { describe, expect, it } from "vitest";
import type { DocumentDraft } from "./drafts";
import { loadWorkflow } from "./load";
import { saveWorkflow } from "./save";
import { brokenRules } from "./testing/invariants";
import { Random } from "./testing/random";
import { randomEdit } from "./testing/randomEdit";
import { definitions, storeWith, textToImage } from "./testing/samples";
import type { Document } from "./types";

const EDITS = 120;
const SEEDS = Array.from({ length: Number(process.env["FUZZ_SEEDS"] ?? 12) }, (_, at) => at + 1);

/** Ids are never given out twice, so the counters go on when everything else goes back. */
function withoutCounters(document: Document): unknown {
  const { counters: _, ...rest } = document;
  return rest;
}

describe("random edits", () => {
  it.each(SEEDS)("seed %i: undo all is the start, redo all is the end, and no rule breaks", (seed) => {
    const random = new Random(seed);
    const store = storeWith(textToImage());
    const start = store.getState().document;
    for (let count = 0; count < EDITS; count += 1) {
      let kind = "";
      const coalesce = random.next() < 0.2 ? "drag" : undefined;
      const recipe = (draft: DocumentDraft): void => {
        kind = randomEdit(draft, random);
      };
      store.getState().edit("Edit", recipe, { coalesce });
      expect(brokenRules(store.getState().document), `after ${kind}, edit ${count}`).toEqual([]);
    }
    const end = store.getState().document;
    while (store.getState().canUndo !== false) store.getState().undo();
    expect(withoutCounters(store.getState().document)).toStrictEqual(withoutCounters(start));
    expect(store.getState().dirty).toBe(false);
    while (store.getState().canRedo !== false) store.getState().redo();
    expect(withoutCounters(store.getState().document)).toStrictEqual(withoutCounters(end));
  });

  it.each(SEEDS)("seed %i: what is saved loads again as the same graph", (seed) => {
    const random = new Random(1000 + seed);
    const store = storeWith(textToImage());
    for (let count = 0; count < EDITS; count += 1) store.getState().edit("Edit", (draft) => void randomEdit(draft, random));
    const saved = saveWorkflow(store.getState().document);
    const text = JSON.stringify(saved);
    const again = loadWorkflow(JSON.parse(text), definitions);
    expect(again.problems).toEqual([]);
    expect(brokenRules(again.document)).toEqual([]);
    expect(shape(again.document)).toEqual(shape(store.getState().document));
    expect(JSON.stringify(saveWorkflow(again.document))).toBe(text);
  });
});

/** What matters of a document, told without slot positions: a saved node leaves out sockets that nobody uses. */
function shape(document: Document): unknown {
  return Object.values(document.graphs).map((graph) => ({
    name: graph.subgraph?.name,
    inputs: graph.subgraph?.inputs.map((slot) => [slot.name, slot.type, slot.label]),
    outputs: graph.subgraph?.outputs.map((slot) => [slot.name, slot.type, slot.label]),
    nodes: Object.values(graph.nodes).map((node) => [node.id, node.type, node.pos, node.mode, node.title, node.collapsed, node.pinned, node.color, values(node)]),
    links: Object.values(graph.links)
      .map((link) => {
        const input = graph.nodes[link.to]?.inputs[link.toSlot]?.name ?? link.toSlot;
        return `${link.from}.${link.fromSlot} → ${link.to}.${input} ${link.type} ${link.parent}`;
      })
      .sort(),
    groups: graph.groups.map((group) => [group.title, group.box, group.color]),
    reroutes: Object.values(graph.reroutes).map((one) => [one.id, one.pos, one.parent]),
  }));
}

/** A value that only stands for "as inside" is none. */
function values(node: { values: Readonly<Record<string, unknown>> }): unknown {
  return Object.fromEntries(Object.entries(node.values).filter(([, value]) => value !== null).sort(([a], [b]) => (a < b ? -1 : 1)));
}
