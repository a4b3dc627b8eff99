import { describe, expect, it } from "vitest";
import { copyFragment } from "./clipboard";
import { parseDefinitions } from "./definitions";
import type { DocumentDraft } from "./drafts";
import { addNode, connect, disconnectInput, paste, removeItems, setValue } from "./edits";
import { inputType, whyNoConnection } from "./edits/links";
import { definitionOf } from "./instances";
import { emptyDocument, loadWorkflow, refreshDefinitions } from "./load";
import { saveWorkflow } from "./save";
import { createDocumentStore, type DocumentStore } from "./store";
import { toSubgraph, unpackSubgraph } from "./subgraphs";
import { brokenRules } from "./testing/invariants";
import { Random } from "./testing/random";
import { graphIn, nodeIn } from "./testing/samples";
import { type Json, type NodeId, ROOT } from "./types";

const INNER: Json = { options: [{ key: "left", inputs: { required: {} } }, { key: "by", inputs: { required: { pixels: ["INT", { default: 3 }] } } }] };
const MODES: Json = [
  { key: "plain", inputs: { required: {} } },
  { key: "blur", inputs: { required: { strength: ["FLOAT", { default: 0.5 }], seed: ["INT", { control_after_generate: true }] }, optional: { mask: ["MASK", {}] } } },
  { key: "grow", inputs: { required: { strength: ["FLOAT", { default: 2 }], mask: ["IMAGE", {}], way: ["COMFY_DYNAMICCOMBO_V3", INNER] } } },
];
const match = (id: string, allowed: string): Json => ["COMFY_MATCHTYPE_V3", { template: { template_id: id, allowed_types: allowed } }];
const node = (required: Record<string, Json>, output: string[] = [], more: Record<string, Json> = {}): Json => ({ input: { required }, output, ...more });
const { definitions } = parseDefinitions({
  Mode: node({ mode: ["COMFY_DYNAMICCOMBO_V3", { options: MODES }], last: ["STRING", { default: "end" }] }, ["IMAGE"], { output_node: true }),
  Batch: node({ images: ["COMFY_AUTOGROW_V3", { template: { input: { required: { image: ["IMAGE", {}] } }, prefix: "image", min: 2, max: 4 } }] }, ["IMAGE"]),
  Sides: node({ sides: ["COMFY_AUTOGROW_V3", { template: { input: { optional: { x: ["FLOAT", { default: 1 }] } }, names: ["left", "right"], min: 0 } }] }),
  Same: node({ a: match("T", "IMAGE,MASK,LATENT"), b: match("T", "IMAGE,MASK,LATENT") }, ["IMAGE,MASK,LATENT"], { output_matchtypes: ["T"] }),
  Any: node({ a: match("T", "*") }, ["*"], { output_matchtypes: ["T"] }),
  Nested: node({ how: ["COMFY_DYNAMICCOMBO_V3", { options: [{ key: "none", inputs: {} }, { key: "many", inputs: { required: { of: ["COMFY_AUTOGROW_V3", { template: { input: { required: { x: match("U", "IMAGE,MASK") } }, names: ["p", "q", "r"], min: 0 } }] } } }] }] }),
  Sums: node({ mode: ["COMFY_DYNAMICCOMBO_V3", { options: MODES }], last: ["STRING", { default: "end" }], ns: ["COMFY_AUTOGROW_V3", { template: { input: { required: { n: ["INT", {}] } }, prefix: "n", min: 1, max: 4 } }] }),
  Several: node({ value: ["FLOAT,INT,STRING", { widgetType: "FLOAT", default: 1.5 }] }),
  Picture: node({}, ["IMAGE", "MASK"]),
  Number: node({}, ["FLOAT"]),
});

function workspace(store: DocumentStore = createDocumentStore({ document: emptyDocument(), definitions })) {
  const state = () => store.getState();
  const edit = (recipe: (draft: DocumentDraft) => void): void => {
    state().edit("Edit", recipe);
    expect(brokenRules(state().document)).toEqual([]);
  };
  const add = (type: string): NodeId => {
    let id = "";
    edit((draft) => void (id = addNode(draft, ROOT, definitions, type, [0, 0])));
    return id;
  };
  const at = (id: NodeId) => nodeIn(state().document, id);
  const names = (id: NodeId): string[] => at(id).inputs.map((slot) => slot.name);
  const shown = (id: NodeId): string[] => definitionOf(state().document, definitions, at(id))!.inputs.map((one) => one.name);
  const link = (from: NodeId, fromSlot: number, to: NodeId, name: string): void =>
    edit((draft) => void connect(draft, ROOT, definitions, { from, fromSlot, to, toSlot: names(to).indexOf(name) }));
  const unlink = (id: NodeId, name: string): void => edit((draft) => disconnectInput(draft, ROOT, id, names(id).indexOf(name)));
  const set = (id: NodeId, name: string, value: Json): void => edit((draft) => setValue(draft, ROOT, id, name, value));
  const linked = (id: NodeId): string[] => at(id).inputs.filter((slot) => slot.link !== null).map((slot) => slot.name);
  const types = (id: NodeId): string[] => [...at(id).inputs, ...at(id).outputs].map((slot) => slot.type);
  const saved = (id: NodeId) => (saveWorkflow(state().document)["nodes"] as Record<string, Json>[]).find((one) => String(one["id"]) === id)!;
  return { store, state, edit, add, at, names, shown, link, unlink, set, linked, types, saved };
}

function again(space: ReturnType<typeof workspace>) {
  return workspace(createDocumentStore({ document: loadWorkflow(saveWorkflow(space.state().document), definitions).document, definitions }));
}

describe("a choice that brings inputs", () => {
  it("is a list of its options, and brings the inputs of the first to a new node", () => {
    const { add, at, names } = workspace();
    const id = add("Mode");
    expect(names(id)).toEqual(["mode", "last"]);
    expect(at(id).values).toEqual({ mode: "plain", last: "end" });
    expect(definitions.get("Mode")!.inputs[0]).toMatchObject({ kind: "combo", choices: ["plain", "blur", "grow"] });
  });

  it("shows the inputs of the chosen option below it, with their defaults", () => {
    const { add, at, set, names, shown, saved } = workspace();
    const id = add("Mode");
    const height = at(id).size![1];
    set(id, "mode", "blur");
    expect(names(id)).toEqual(["mode", "mode.strength", "mode.seed", "mode.mask", "last"]);
    expect(shown(id)).toEqual(names(id));
    expect(at(id).values).toEqual({ mode: "blur", "mode.strength": 0.5, "mode.seed": 0, last: "end" });
    expect(at(id).size![1]).toBeGreaterThan(height);
    expect(saved(id)["widgets_values"]).toEqual(["blur", 0.5, 0, "randomize", "end"]);
    set(id, "mode", "plain");
    expect(at(id).size![1]).toBe(height);
    expect(saved(id)["widgets_values"]).toEqual(["plain", "end"]);
  });

  it("keeps what is of equal name and type when the option changes, and drops the rest in the same step", () => {
    const { add, at, set, link, linked, names, state } = workspace();
    const [id, picture] = [add("Mode"), add("Picture")];
    set(id, "mode", "blur");
    set(id, "mode.strength", 7);
    link(picture, 1, id, "mode.mask");
    const before = state().document;
    set(id, "mode", "grow");
    expect(names(id)).toEqual(["mode", "mode.strength", "mode.mask", "mode.way", "last"]);
    expect([at(id).values["mode.strength"], at(id).values["mode.way"], linked(id)]).toEqual([7, "left", []]);
    expect(at(id).controls).toEqual({});
    state().undo();
    expect(state().document.graphs).toEqual(before.graphs);
    expect([linked(id), at(id).values["mode.strength"]]).toEqual([["mode.mask"], 7]);
    state().redo();
    expect(linked(id)).toEqual([]);
  });

  it("keeps links of inputs that only move", () => {
    const { add, set, link, linked, state } = workspace();
    const [id, number] = [add("Mode"), add("Number")];
    set(id, "mode", "blur");
    link(number, 0, id, "mode.strength");
    set(id, "mode", "grow");
    expect(linked(id)).toEqual(["mode.strength"]);
    set(id, "mode", "plain");
    expect(graphIn(state().document).links).toEqual({});
  });

  it("may stand within another", () => {
    const { add, at, set, names, saved } = workspace();
    const id = add("Mode");
    set(id, "mode", "grow");
    set(id, "mode.way", "by");
    expect(names(id)).toContain("mode.way.pixels");
    expect(at(id).values["mode.way.pixels"]).toBe(3);
    expect(saved(id)["widgets_values"]).toEqual(["grow", 2, "by", 3, "end"]);
    set(id, "mode", "plain");
    expect(names(id)).toEqual(["mode", "last"]);
  });

  it("is read from a saved list, whose values it names", () => {
    const raw = { nodes: [{ id: 1, type: "Mode", pos: [0, 0], widgets_values: ["grow", 4, "by", 9, "z"] }], links: [], version: 0.4 };
    const space = workspace(createDocumentStore({ document: loadWorkflow(raw, definitions).document, definitions }));
    expect(space.at("1").values).toEqual({ mode: "grow", "mode.strength": 4, "mode.way": "by", "mode.way.pixels": 9, last: "z" });
    expect(saveWorkflow(space.state().document)).toEqual(raw);
    expect(space.shown("1")).toContain("mode.way.pixels");
  });

  it("keeps an option that is gone, without inputs", () => {
    const raw = { nodes: [{ id: 1, type: "Mode", pos: [0, 0], widgets_values: ["bend", "z"] }], links: [], version: 0.4 };
    const { document } = loadWorkflow(raw, definitions);
    expect(nodeIn(document, "1").values).toEqual({ mode: "bend", last: "z" });
    expect(saveWorkflow(document)).toEqual(raw);
  });
});

describe("inputs that grow", () => {
  it("have one more than the least number, and one that is free up to the largest", () => {
    const { add, link, linked, names } = workspace();
    const [id, picture] = [add("Batch"), add("Picture")];
    expect(names(id)).toEqual(["images.image0", "images.image1", "images.image2"]);
    for (const [at, count] of [3, 3, 4, 4].entries()) {
      link(picture, 0, id, `images.image${at}`);
      expect(names(id)).toHaveLength(count);
    }
    expect(linked(id)).toHaveLength(4);
  });

  it("shrink when the last links go, and keep gaps before others", () => {
    const { add, link, unlink, names, linked, edit } = workspace();
    const [id, picture, other] = [add("Batch"), add("Picture"), add("Picture")];
    for (const at of [0, 1, 2]) link(at === 2 ? other : picture, 0, id, `images.image${at}`);
    unlink(id, "images.image1");
    expect([names(id).length, linked(id)]).toEqual([4, ["images.image0", "images.image2"]]);
    edit((draft) => removeItems(draft, ROOT, { nodes: [other] }));
    expect(names(id)).toEqual(["images.image0", "images.image1", "images.image2"]);
  });

  it("take the names of their template", () => {
    const { add, link, names, at, saved } = workspace();
    const [id, number] = [add("Sides"), add("Number")];
    expect([names(id), at(id).values]).toEqual([["sides.left"], { "sides.left": 1 }]);
    link(number, 0, id, "sides.left");
    expect(names(id)).toEqual(["sides.left", "sides.right"]);
    expect(saved(id)["widgets_values"]).toEqual([1]);
  });

  it("are pasted with as many as their links ask for", () => {
    const { add, link, names, edit, state } = workspace();
    const [id, picture] = [add("Batch"), add("Picture")];
    for (const at of [0, 1, 2]) link(picture, 0, id, `images.image${at}`);
    const pasted: NodeId[] = [];
    edit((draft) => void pasted.push(...paste(draft, ROOT, copyFragment(state().document, ROOT, { nodes: [id] })).nodes));
    edit((draft) => void pasted.push(...paste(draft, ROOT, copyFragment(state().document, ROOT, { nodes: [id, picture] })).nodes));
    expect(names(pasted[0]!)).toHaveLength(3);
    expect(names(pasted[1]!)).toHaveLength(4);
  });

  it("are undone together with the link", () => {
    const { add, link, names, state } = workspace();
    const [id, picture] = [add("Batch"), add("Picture")];
    link(picture, 0, id, "images.image2");
    expect(names(id)).toHaveLength(4);
    state().undo();
    expect(names(id)).toHaveLength(3);
  });
});

describe("what stands within others", () => {
  it("grows within a choice, and goes with it", () => {
    const { add, set, link, names, types, linked, state } = workspace();
    const [id, picture] = [add("Nested"), add("Picture")];
    set(id, "how", "many");
    expect(names(id)).toEqual(["how", "how.of.p"]);
    link(picture, 1, id, "how.of.p");
    link(picture, 1, id, "how.of.q");
    expect([names(id), linked(id)]).toEqual([["how", "how.of.p", "how.of.q", "how.of.r"], ["how.of.p", "how.of.q"]]);
    expect(types(id).slice(1)).toEqual(["MASK", "MASK", "MASK"]);
    set(id, "how", "none");
    expect([names(id), Object.keys(graphIn(state().document).links)]).toEqual([["how"], []]);
  });

  it("stays as it is in a subgraph and out of it again", () => {
    const { add, set, link, edit, state } = workspace();
    const [mode, batch, picture] = [add("Mode"), add("Batch"), add("Picture")];
    set(mode, "mode", "blur");
    set(mode, "mode.strength", 3);
    link(picture, 1, mode, "mode.mask");
    link(picture, 0, batch, "images.image2");
    let instance = "";
    edit((draft) => void (instance = toSubgraph(draft, ROOT, definitions, { nodes: [mode, batch] }, "Both")!));
    const inside = graphIn(state().document, state().document.subgraphOrder[0]!);
    const inputs = (type: string): string[] => Object.values(inside.nodes).find((one) => one.type === type)!.inputs.map((slot) => slot.name);
    expect(inputs("Mode")).toEqual(["mode", "mode.strength", "mode.seed", "mode.mask", "last"]);
    expect(inputs("Batch")).toHaveLength(4);
    edit((draft) => void unpackSubgraph(draft, ROOT, definitions, instance));
    const back = Object.values(graphIn(state().document).nodes).find((one) => one.type === "Mode")!;
    expect(back.values["mode.strength"]).toBe(3);
    expect(Object.values(graphIn(state().document).links)).toHaveLength(2);
  });
});

describe("sockets that agree on a type", () => {
  it("narrow each other and the output when one is linked, and widen again", () => {
    const { add, link, unlink, types, state } = workspace();
    const [id, picture] = [add("Same"), add("Picture")];
    expect(types(id)).toEqual(["IMAGE,MASK,LATENT", "IMAGE,MASK,LATENT", "IMAGE,MASK,LATENT"]);
    link(picture, 0, id, "a");
    expect(types(id)).toEqual(["IMAGE,MASK,LATENT", "IMAGE", "IMAGE"]);
    expect(whyNoConnection(state().document, ROOT, definitions, { from: picture, fromSlot: 1, to: id, toSlot: 1 })).toContain("MASK cannot feed");
    unlink(id, "a");
    expect(types(id)).toEqual(["IMAGE,MASK,LATENT", "IMAGE,MASK,LATENT", "IMAGE,MASK,LATENT"]);
  });

  it("pass the type on through chains, and take it from what the output feeds", () => {
    const { add, link, unlink, types, state } = workspace();
    const [first, second, picture, batch] = [add("Any"), add("Any"), add("Picture"), add("Batch")];
    link(first, 0, second, "a");
    link(picture, 1, first, "a");
    expect(types(second)).toEqual(["*", "MASK"]);
    expect(Object.values(graphIn(state().document).links).map((one) => one.type)).toEqual(["MASK", "MASK"]);
    unlink(first, "a");
    expect(types(second)).toEqual(["*", "*"]);
    link(second, 0, batch, "images.image0");
    expect([types(second), inputType(graphIn(state().document), first, 0)]).toEqual([["IMAGE", "IMAGE"], "*"]);
  });
});

describe("files", () => {
  it("come back as they were saved, and to the same nodes", () => {
    const space = workspace();
    const [mode, batch, same, picture] = [space.add("Mode"), space.add("Batch"), space.add("Same"), space.add("Picture")];
    space.set(mode, "mode", "blur");
    space.link(picture, 1, mode, "mode.mask");
    for (const at of [0, 1, 2]) space.link(picture, 0, batch, `images.image${at}`);
    space.link(picture, 0, same, "b");
    const loaded = again(space);
    for (const id of [mode, batch, same]) {
      expect([loaded.names(id), loaded.shown(id), loaded.types(id), loaded.linked(id)]).toEqual([space.names(id), space.shown(id), space.types(id), space.linked(id)]);
      expect(loaded.at(id).values).toEqual(space.at(id).values);
    }
    expect(saveWorkflow(loaded.state().document)).toEqual(saveWorkflow(space.state().document));
    loaded.unlink(mode, "mode.mask");
    loaded.set(mode, "mode", "plain");
    expect(loaded.saved(mode)["widgets_values"]).toEqual(["plain", "end"]);
  });

  it("of the field are read when they list the linked widgets alone, and its own lists too", () => {
    const slot = (name: string, link: number | null): Json => ({ name, type: "INT", widget: { name }, link });
    const file = (inputs: Json[]) => ({
      nodes: [{ id: 1, type: "Sums", pos: [0, 0], inputs, widgets_values: [3, 4, 0, "grow", 2, "by", 9, "z"] }, { id: 2, type: "Number", pos: [0, 0], outputs: [{ name: "FLOAT", type: "FLOAT", links: [1] }] }],
      links: [[1, 2, 0, 1, inputs.length > 1 ? 1 : 0, "INT"]],
      version: 0.4,
    });
    for (const raw of [file([slot("ns.n1", 1)]), file([slot("ns.n0", null), slot("ns.n1", 1), slot("ns.n2", null)])]) {
      const { document } = loadWorkflow(raw, definitions);
      expect(nodeIn(document, "1").values).toEqual({ "ns.n0": 3, "ns.n1": 4, "ns.n2": 0, mode: "grow", "mode.strength": 2, "mode.way": "by", "mode.way.pixels": 9, last: "z" });
      expect(definitionOf(document, definitions, nodeIn(document, "1"))!.inputs[2]).toMatchObject({ name: "ns.n2", kind: "int" });
      expect(saveWorkflow(document)).toEqual(raw);
    }
  });

  it("are completed once the definitions are there", () => {
    const raw = { nodes: [{ id: 1, type: "Mode", pos: [0, 0], widgets_values: ["blur", 4, 5, "fixed", "z"] }], links: [], version: 0.4 };
    const late = refreshDefinitions(loadWorkflow(raw, new Map()).document, definitions);
    expect(nodeIn(late, "1").values).toEqual({ mode: "blur", "mode.strength": 4, "mode.seed": 5, last: "z" });
    expect(nodeIn(late, "1").inputs.map((slot) => slot.name)).toEqual(["mode", "mode.strength", "mode.seed", "mode.mask", "last"]);
  });
});

it.each([1, 2, 3, 4, 5, 6])("any edits leave what values and links ask for, and are undone (%i)", (seed) => {
  const space = workspace();
  const { state, edit, add, at, shown } = space;
  const random = new Random(seed);
  const pick = <T>(list: readonly T[]): T => random.pick(list)!;
  const start = state().document.graphs;
  for (const type of ["Mode", "Mode", "Batch", "Same", "Any", "Same", "Picture", "Number"]) add(type);
  const steps: ((draft: DocumentDraft, id: NodeId) => unknown)[] = [
    (draft, id) => at(id).type === "Mode" && setValue(draft, ROOT, id, "mode", pick(["plain", "blur", "grow"])),
    (draft, id) => at(id).values["mode.way"] && setValue(draft, ROOT, id, "mode.way", pick(["left", "by"])),
    ...[0, 1, 2].map(() => (draft: DocumentDraft, id: NodeId) => {
      const from = pick(graphIn(state().document).nodeOrder);
      if (at(id).inputs.length === 0 || at(from).outputs.length === 0) return;
      const ends = { from, fromSlot: random.below(at(from).outputs.length), to: id, toSlot: random.below(at(id).inputs.length) };
      connect(draft, ROOT, definitions, ends);
    }),
    (draft, id) => at(id).inputs.length > 0 && disconnectInput(draft, ROOT, id, random.below(at(id).inputs.length)),
    (draft, id) => random.next() < 0.3 && removeItems(draft, ROOT, { nodes: [id] }, { reconnect: true }),
    (draft, id) => paste(draft, ROOT, copyFragment(state().document, ROOT, { nodes: [id] }), { links: "outside" }),
  ];
  for (let count = 0; count < 80; count += 1) {
    const ids = graphIn(state().document).nodeOrder;
    if (ids.length > 0) edit((draft) => void pick(steps)(draft, pick(ids)));
    for (const id of graphIn(state().document).nodeOrder) expect(space.names(id).toSorted()).toEqual(shown(id).toSorted());
  }
  const loaded = again(space);
  expect(saveWorkflow(loaded.state().document)).toEqual(saveWorkflow(state().document));
  for (const id of graphIn(state().document).nodeOrder) expect([loaded.shown(id), loaded.at(id).values]).toEqual([shown(id), at(id).values]);
  while (state().canUndo) state().undo();
  expect(state().document.graphs).toEqual(start);
});

it("an input of several types has the widget of the type that it names", () => {
  expect(definitions.get("Several")!.inputs[0]).toMatchObject({ kind: "float", type: "FLOAT,INT,STRING", widget: undefined, default: 1.5 });
});
