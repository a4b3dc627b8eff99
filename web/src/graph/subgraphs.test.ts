import { describe, expect, it } from "vitest";
import type { DocumentDraft } from "./drafts";
import * as edits from "./edits";
import { proxyWidgets } from "./instanceValues";
import { definitionOf } from "./instances";
import { loadWorkflow } from "./load";
import { addParameter, listParameters } from "./parameters";
import { saveWorkflow } from "./save";
import { breadcrumbs, nodeAt, promptId } from "./scope";
import { publishInput, renamePublished, setProxyWidget, toSubgraph, unpackSubgraph, unpublish } from "./subgraphs";
import { brokenRules } from "./testing/invariants";
import { buildTextToImage, definitions, graphIn, nodeIn, slotOf, storeWith } from "./testing/samples";
import { ROOT } from "./types";
import { widgetValue } from "./widgets";

/** The chain with its two texts and the sampler inside a subgraph. */
function packed() {
  const store = storeWith();
  let ids!: ReturnType<typeof buildTextToImage>;
  let instance = "";
  const edit = (recipe: (draft: DocumentDraft) => unknown): void => {
    store.getState().edit("Edit", (draft) => void recipe(draft));
    expect(brokenRules(store.getState().document)).toEqual([]);
  };
  edit((draft) => {
    ids = buildTextToImage(draft);
    addParameter(draft, { name: "steps", node: ids.sampler, input: "steps" });
  });
  const flat = links(store.getState().document);
  edit((draft) => (instance = toSubgraph(draft, ROOT, definitions, { nodes: [ids.positive, ids.negative, ids.sampler] }, "Sampling")!));
  const doc = () => store.getState().document;
  const inner = () => doc().subgraphOrder[0]!;
  return { store, ids, instance, edit, doc, inner, flat };
}

function links(document: Parameters<typeof graphIn>[0]): string[] {
  const graph = graphIn(document);
  const name = (id: string): string => graph.nodes[id]?.type ?? id;
  return Object.values(graph.links)
    .map((link) => `${name(link.from)}.${link.fromSlot} → ${name(link.to)}.${graph.nodes[link.to]?.inputs[link.toSlot]?.name}`)
    .sort();
}

describe("making a subgraph", () => {
  it("publishes what crosses its border, each origin once", () => {
    const { doc, inner, instance, ids } = packed();
    const info = graphIn(doc(), inner()).subgraph!;
    expect(info.inputs.map((slot) => [slot.name, slot.type])).toEqual([["clip", "CLIP"], ["model", "MODEL"], ["latent_image", "LATENT"]]);
    expect(info.outputs.map((slot) => slot.type)).toEqual(["LATENT"]);
    expect(Object.keys(graphIn(doc(), inner()).nodes).sort()).toEqual([ids.positive, ids.negative, ids.sampler].sort());
    expect(info.inputs[0]?.links).toHaveLength(2);
    const node = nodeIn(doc(), instance);
    expect(node.inputs.every((slot) => slot.link !== null)).toBe(true);
    expect(definitionOf(doc(), definitions, node)?.title).toBe("Sampling");
  });

  it("moves exposed parameters inside, and back", () => {
    const { doc, edit, instance, ids } = packed();
    expect(listParameters(doc())[0]?.node).toBe(`${instance}:${ids.sampler}`);
    expect(nodeAt(doc(), `${instance}:${ids.sampler}`)).toMatchObject({ path: [instance], node: { type: "KSampler" } });
    expect(promptId([instance], ids.sampler)).toBe(`${instance}:${ids.sampler}`);
    edit((draft) => unpackSubgraph(draft, ROOT, definitions, instance));
    expect(nodeAt(doc(), listParameters(doc())[0]!.node)?.node.type).toBe("KSampler");
  });

  it("unpacks to the graph that it was, with the definition gone", () => {
    const { doc, edit, instance, flat } = packed();
    edit((draft) => unpackSubgraph(draft, ROOT, definitions, instance));
    expect(links(doc())).toEqual(flat);
    expect(doc().subgraphOrder).toEqual([]);
  });

  it("nests, and a definition never holds itself", () => {
    const { doc, edit, instance, inner, ids, store } = packed();
    let nested = "";
    edit((draft) => (nested = toSubgraph(draft, inner(), definitions, { nodes: [ids.sampler] }, "Inner")!));
    expect(breadcrumbs(doc(), [instance, nested]).map((one) => one.title)).toEqual(["Workflow", "Sampling", "Inner"]);
    expect(listParameters(doc())[0]?.node).toBe(`${instance}:${nested}:${ids.sampler}`);
    const deepest = doc().subgraphOrder[1]!;
    expect([edits.isRecursive(doc(), deepest, inner()), edits.isRecursive(doc(), inner(), deepest)]).toEqual([true, false]);
    store.getState().enter(instance);
    store.getState().enter(nested);
    expect(store.getState().scope).toEqual({ graphId: deepest, path: [instance, nested] });
    store.getState().leave(2);
    expect(store.getState().scope.graphId).toBe(ROOT);
    // Undoing what made a scope shows the nearest one that is left.
    store.getState().goTo([instance, nested]);
    store.getState().undo();
    expect(store.getState().scope.path.length).toBeLessThan(2);
  });

  it("saves definitions that load as they were", () => {
    const { doc } = packed();
    const saved = saveWorkflow(doc());
    const [definition] = (saved["definitions"] as { subgraphs: Record<string, unknown>[] }).subgraphs;
    expect(definition).toMatchObject({ name: "Sampling", inputNode: { id: -10 }, outputNode: { id: -20 } });
    expect((definition!["links"] as { origin_id: number }[]).some((link) => link.origin_id === -10)).toBe(true);
    const again = loadWorkflow(JSON.parse(JSON.stringify(saved)), definitions);
    expect(again.problems).toEqual([]);
    expect(again.missingTypes).toEqual([]);
    expect(saveWorkflow(again.document)).toStrictEqual(JSON.parse(JSON.stringify(saved)));
  });
});

describe("published inputs", () => {
  it("show the widget inside on the instance, with its value", () => {
    const { doc, edit, inner, instance, ids } = packed();
    const slot = slotOf(nodeIn(doc(), ids.sampler, inner()), "steps");
    edit((draft) => edits.setValue(draft, inner(), ids.sampler, "steps", 33));
    edit((draft) => publishInput(draft, inner(), { node: ids.sampler, slot }));
    const node = nodeIn(doc(), instance);
    const input = definitionOf(doc(), definitions, node)!.inputs.find((one) => one.name === "steps")!;
    expect([input.kind, widgetValue(node, input)]).toEqual(["int", 33]);
    edit((draft) => edits.setValue(draft, ROOT, instance, "steps", 12));
    const saved = saveWorkflow(doc());
    const entry = (saved["nodes"] as Record<string, unknown>[]).find((one) => String(one["id"]) === instance)!;
    expect(entry["widgets_values"]).toEqual([12]);
    edit((draft) => unpackSubgraph(draft, ROOT, definitions, instance));
    expect(Object.values(graphIn(doc()).nodes).find((one) => one.type === "KSampler")?.values["steps"]).toBe(12);
  });

  it("are taken back with their links, and the others move up", () => {
    const { doc, edit, inner, instance } = packed();
    edit((draft) => unpublish(draft, inner(), "input", 0));
    expect(nodeIn(doc(), instance).inputs.map((slot) => slot.name)).toEqual(["model", "latent_image"]);
    expect(nodeIn(doc(), instance).inputs.every((slot) => slot.link !== null)).toBe(true);
    edit((draft) => unpublish(draft, inner(), "output", 0));
    expect(nodeIn(doc(), instance).outputs).toEqual([]);
  });

  it("get another label on every instance", () => {
    const { doc, edit, inner, instance } = packed();
    edit((draft) => renamePublished(draft, inner(), "input", 0, "Text encoder"));
    expect(nodeIn(doc(), instance).inputs[0]).toMatchObject({ name: "clip", label: "Text encoder" });
    expect(definitionOf(doc(), definitions, nodeIn(doc(), instance))?.inputs[0]?.label).toBe("Text encoder");
  });
});

describe("widgets of inner nodes on an instance", () => {
  it("are shown, set and saved in the order of the list", () => {
    const { doc, edit, instance, ids } = packed();
    edit((draft) => {
      setProxyWidget(draft, ROOT, instance, ids.positive, "text", true);
      setProxyWidget(draft, ROOT, instance, ids.sampler, "cfg", true);
      edits.setValue(draft, ROOT, instance, `${ids.sampler}:cfg`, 3);
    });
    const node = nodeIn(doc(), instance);
    expect(proxyWidgets(node.properties)).toEqual([[ids.positive, "text"], [ids.sampler, "cfg"]]);
    expect(definitionOf(doc(), definitions, node)?.inputs.map((one) => one.label ?? one.name)).toContain("cfg");
    const saved = saveWorkflow(doc());
    const entry = (saved["nodes"] as Record<string, unknown>[]).find((one) => String(one["id"]) === instance)!;
    expect(entry["widgets_values"]).toEqual(["", 3]);
    edit((draft) => setProxyWidget(draft, ROOT, instance, ids.positive, "text", false));
    expect(nodeIn(doc(), instance).values).toEqual({ [`${ids.sampler}:cfg`]: 3 });
  });
});
