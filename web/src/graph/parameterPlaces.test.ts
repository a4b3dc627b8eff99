import { describe, expect, it } from "vitest";
import { copyFragment } from "./clipboard";
import { paste } from "./edits";
import { loadWorkflow } from "./load";
import { addOutput, addParameter, changeParameter, describeOutput, listOutputs, listParameters, removeParameter, renameOutput, setWorkflowDoc, usableName, workflowDoc } from "./parameters";
import { saveWorkflow } from "./save";
import { toSubgraph, unpackSubgraph } from "./subgraphs";
import { buildTextToImage, definitions, storeWith } from "./testing/samples";
import { type Document, type JsonObject, ROOT } from "./types";

type Saved = { nodes: { id: number; type: string; title?: string; properties?: JsonObject }[]; links: unknown[][]; extra: { safelight?: JsonObject } };

function exposed() {
  const store = storeWith();
  let ids!: ReturnType<typeof buildTextToImage>;
  const edit = (recipe: Parameters<ReturnType<typeof store.getState>["edit"]>[1]) => store.getState().edit("Edit", recipe);
  edit((draft) => {
    ids = buildTextToImage(draft);
    addParameter(draft, { name: "prompt", node: ids.positive, input: "text" });
    addParameter(draft, { name: "steps", node: ids.sampler, input: "steps" });
    addOutput(draft, { name: "picture", node: ids.save });
  });
  const save = () => structuredClone(saveWorkflow(store.getState().document)) as unknown as Saved;
  return { store, ids, edit, save };
}

const marksOf = (saved: Saved) => saved.nodes.flatMap((node) => (node.properties?.["safelight"] === undefined ? [] : [[node.id, node.properties["safelight"]] as const]));
const opened = (saved: unknown): Document => loadWorkflow(saved, definitions).document;

/** As an editor saves it that numbers nodes anew, and knows nothing of `extra`. */
function renumbered(saved: Saved): Saved {
  const to = new Map(saved.nodes.map((node, at) => [node.id, 100 + at]));
  return {
    ...saved,
    nodes: saved.nodes.map((node) => ({ ...node, id: to.get(node.id)! })),
    links: saved.links.map(([id, from, fromSlot, target, ...rest]) => [id, to.get(from as number), fromSlot, to.get(target as number), ...rest]),
  };
}

describe("names that stay with their nodes", () => {
  it("nodes are marked when the workflow is saved, and entries say the type of their node", () => {
    const { ids, save } = exposed();
    const saved = save();
    expect(marksOf(saved)).toEqual([
      [Number(ids.positive), { parameters: { text: "prompt" } }],
      [Number(ids.sampler), { parameters: { steps: "steps" } }],
      [Number(ids.save), { output: "picture" }],
    ]);
    expect(saved.extra.safelight?.["parameters"]).toMatchObject([{ name: "prompt", class_type: "CLIPTextEncode" }, { name: "steps", class_type: "KSampler" }]);
    expect(saveWorkflow(opened(saved))).toStrictEqual(saved);
  });

  it("a file that another editor numbered anew has its names at the right nodes", () => {
    const { save } = exposed();
    const document = opened(renumbered(save()));
    const types = listParameters(document).map((one) => document.graphs[ROOT]?.nodes[one.node]?.type);
    expect(types).toEqual(["CLIPTextEncode", "KSampler"]);
    expect(document.graphs[ROOT]?.nodes[listOutputs(document)[0]!.node]?.type).toBe("SaveImage");
  });

  it("without marks a node is found by its type, where only one has it", () => {
    const { save } = exposed();
    const bare = renumbered(save());
    for (const node of bare.nodes) delete node.properties;
    const document = opened(bare);
    const at = (name: string) => document.graphs[ROOT]?.nodes[listParameters(document).find((one) => one.name === name)!.node]?.type;
    expect(at("steps")).toBe("KSampler");
    expect(at("prompt")).toBeUndefined(); // two encoders: neither is taken for it
  });

  it("a copy of a node has no mark, whether pasted here or elsewhere", () => {
    const { store, ids, edit, save } = exposed();
    const before = opened(save());
    store.getState().replaceDocument(before);
    const fragment = copyFragment(before, ROOT, { nodes: [ids.sampler] });
    edit((draft) => void paste(draft, ROOT, fragment));
    expect(marksOf(save()).map(([id]) => id)).toEqual([Number(ids.positive), Number(ids.sampler), Number(ids.save)]);
    const other = storeWith();
    other.getState().edit("Paste", (draft) => void paste(draft, ROOT, fragment));
    expect(marksOf(saveWorkflow(other.getState().document) as unknown as Saved)).toEqual([]);
  });

  it("goes along into a subgraph and out of it", () => {
    const { ids, edit, save } = exposed();
    let instance = "";
    edit((draft) => void (instance = toSubgraph(draft, ROOT, definitions, { nodes: [ids.sampler] }, "Sampling")!));
    expect(marksOf(save()).map(([id]) => id)).toEqual([Number(ids.positive), Number(ids.save)]);
    expect(save().extra.safelight?.["parameters"]).toMatchObject([{}, { node: `${instance}:${ids.sampler}`, class_type: "KSampler" }]);
    edit((draft) => void unpackSubgraph(draft, ROOT, definitions, instance));
    const saved = save();
    const sampler = saved.nodes.find((node) => node.type === "KSampler");
    expect(sampler?.properties?.["safelight"]).toEqual({ parameters: { steps: "steps" } });
    expect(saved.extra.safelight?.["parameters"]).toMatchObject([{}, { node: String(sampler?.id) }]);
  });

  it("takes the mark away with the parameter, and leaves other properties", () => {
    const { ids, edit, save } = exposed();
    edit((draft) => removeParameter(draft, "steps"));
    expect(marksOf(save()).map(([id]) => id)).not.toContain(Number(ids.sampler));
  });
});

describe("what is said of a workflow", () => {
  it("is kept with the entries, key by key, and undone", () => {
    const { store, edit } = exposed();
    edit((draft) => {
      changeParameter(draft, "steps", { min: 4, max: 30, default: 12, doc: "How long." });
      changeParameter(draft, "prompt", { required: true, label: "What", default: "" });
      renameOutput(draft, "picture", "image");
      describeOutput(draft, "image", "The picture.");
      setWorkflowDoc(draft, "Draws.");
    });
    const { document } = store.getState();
    expect(listParameters(document)[1]).toMatchObject({ min: 4, max: 30, default: 12, doc: "How long." });
    expect(listParameters(document)[0]).toMatchObject({ required: true, label: "What", default: "" });
    expect(listOutputs(document)).toMatchObject([{ name: "image", doc: "The picture." }]);
    expect(workflowDoc(document)).toBe("Draws.");
    edit((draft) => changeParameter(draft, "steps", { min: undefined, default: undefined }));
    expect(listParameters(store.getState().document)[1]).not.toHaveProperty("min");
    store.getState().undo();
    store.getState().undo();
    expect(workflowDoc(store.getState().document)).toBe("");
    expect(listParameters(store.getState().document)[1]).not.toHaveProperty("max");
  });

  it("has names that programs can write", () => {
    expect(["Save Image", "Größe 2", "2x", "肖像", "seed"].map(usableName)).toEqual(["save_image", "gro_e_2", "_2x", "value", "seed"]);
  });
});
