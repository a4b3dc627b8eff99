import { describe, expect, it } from "vitest";
import { parseDefinition } from "./definitions";
import { addNode, connect, setControl, setValue, setWidgetAsInput } from "./edits";
import { loadWorkflow } from "./load";
import { saveWorkflow } from "./save";
import { definitions, graphIn, nodeIn, slotOf, storeWith } from "./testing/samples";
import { readNode } from "./read";
import { type Json, type JsonObject, ROOT } from "./types";
import { readValues, writeValues } from "./values";
import { widgetValue } from "./widgets";

const sampler = definitions.get("KSampler")!;

function workflowWith(node: JsonObject): JsonObject {
  return { last_node_id: 1, last_link_id: 0, nodes: [{ id: 1, pos: [0, 0], size: [300, 200], flags: {}, order: 0, mode: 0, ...node }], links: [], version: 0.4 };
}

function savedNode(workflow: JsonObject, at = 0): Record<string, Json> {
  return (workflow["nodes"] as Record<string, Json>[])[at]!;
}

describe("reading values", () => {
  const list = [5, "randomize", 20, 8, "euler", "normal", 1];
  const named = { seed: 5, steps: 20, cfg: 8, sampler_name: "euler", scheduler: "normal", denoise: 1 };

  it("takes names from the definition, in its order", () => {
    const read = readValues({ type: "KSampler", widgets_values: list }, sampler);
    expect(read.values).toEqual(named);
    expect(read.controls).toEqual({ seed: "randomize" });
  });

  it("takes names from the node where it lists all of its widgets", () => {
    const inputs = Object.keys(named).map((name) => ({ name, type: "*", link: null, widget: { name } }));
    const read = readValues({ type: "Gone", inputs, widgets_values: list }, undefined);
    expect(read.values).toEqual(named);
    expect(read.controls).toEqual({ seed: "randomize" });
  });

  it("keeps the place of a widget that became an input", () => {
    const inputs = [{ name: "steps", type: "INT", link: 3, widget: { name: "steps" } }];
    expect(readValues({ type: "KSampler", inputs, widgets_values: list }, sampler).values).toEqual(named);
  });

  it("reads a boolean after a seed as old files have it", () => {
    const read = readValues({ type: "KSampler", widgets_values: [5, true, ...list.slice(2)] }, sampler);
    expect(read.values).toEqual(named);
    expect(read.controls).toEqual({ seed: "randomize" });
  });

  it("takes what follows a seed for what happens to it, whatever it is, as the field does", () => {
    expect(readValues({ type: "KSampler", widgets_values: [5, ...list.slice(2)] }, sampler).values).toEqual({ seed: 5, steps: 8, cfg: "euler", sampler_name: "normal", scheduler: 1 });
  });

  it("goes by the class where the node lists all of its widgets and a value is missing", () => {
    const inputs = ["seed", "steps", "cfg", "sampler_name", "scheduler", "denoise"].map((name) => ({ name, type: "*", widget: { name } }));
    const { denoise: _, ...others } = named;
    expect(readValues({ type: "KSampler", inputs, widgets_values: list.slice(0, -1) }, sampler).values).toEqual(others);
  });

  it("knows the values of an unknown class by name, and writes both", () => {
    const node = { id: 3, type: "Nobody", widgets_values: [7, "randomize", "b"], widgets_values_named: { noise: 7, control_after_generate: "randomize", word: "b" } };
    const read = readValues(node, undefined);
    expect(read.values).toEqual({ noise: 7, word: "b" });
    expect(read.controls).toEqual({ noise: "randomize" });
    const record = { ...readNode(node, undefined), values: { noise: 7, word: "c" } };
    expect(writeValues(record)).toEqual({ values: [7, "randomize", "c"], named: { noise: 7, control_after_generate: "randomize", word: "c" } });
  });

  it("lets the list win over stale values by name, and mends those with the next change", () => {
    const node = { id: 3, type: "KSampler", widgets_values: list, widgets_values_named: { seed: 1, steps: 2, other: "kept" } };
    const record = readNode(node, sampler);
    expect(record.values).toEqual(named);
    expect(writeValues(record)).toEqual({ values: list, named: node.widgets_values_named });
    const written = writeValues({ ...record, values: { ...record.values, steps: 9 } });
    expect(written.named).toEqual({ ...named, control_after_generate: "randomize", steps: 9, other: "kept" });
  });

  it("takes values by name where there is no list", () => {
    expect(readValues({ type: "KSampler", widgets_values_named: { steps: 3, nothing: 1 } }, sampler).values).toEqual({ steps: 3 });
  });

  it("passes over the four numbers that follow a box, and writes them with it", () => {
    const crop = parseDefinition("Crop", { input: { required: { region: ["BOUNDING_BOX", {}], word: ["STRING", {}] } }, output: [] });
    const box = { x: 1, y: 2, width: 3, height: 4 };
    const node = { id: 3, type: "Crop", widgets_values: [box, 9, 9, 9, 9, "a"], widgets_values_named: { region: box, x: 9, y: 9, width: 9, height: 9, word: "a" } };
    const record = readNode(node, crop);
    expect(record.values).toEqual({ region: box, word: "a" });
    expect(writeValues({ ...record, values: { ...record.values, word: "b" } }).values).toEqual([box, 9, 9, 9, 9, "b"]);
    const written = writeValues({ ...record, values: { ...record.values, region: { ...box, x: 7 } } });
    expect(written.values).toEqual([{ ...box, x: 7 }, 7, 2, 3, 4, "a"]);
    expect(written.named).toEqual({ region: { ...box, x: 7 }, x: 7, y: 2, width: 3, height: 4, word: "a" });
  });

  it("keeps a null of a widget, which cannot run", () => {
    const record = readNode({ id: 3, type: "KSampler", widgets_values: [5, "fixed", null, ...list.slice(3)] }, sampler);
    const steps = sampler?.inputs.find((one) => one.name === "steps");
    expect(steps && widgetValue(record, steps)).toBeNull();
    expect((writeValues({ ...record, values: { ...record.values, cfg: 3 } }).values as unknown[])[2]).toBeNull();
  });

  it("takes an object of values for classes of packs and unknown ones; those that come with the server have none", () => {
    const node = { type: "KSampler", widgets_values: { seed: 7, other: 1 } };
    expect(readValues(node, { ...sampler, module: "custom_nodes.some_pack" }).values).toEqual({ seed: 7, other: 1 });
    expect(readValues(node, undefined).values).toEqual({ seed: 7, other: 1 });
    expect(readValues(node, sampler).values).toEqual({});
  });

  it("skips the kind of an upload", () => {
    const read = readValues({ type: "LoadImage", widgets_values: ["a.png", "image"] }, definitions.get("LoadImage"));
    expect(read.values).toEqual({ image: "a.png" });
  });

  it("leaves a list alone whose names cannot be known", () => {
    expect(readValues({ type: "Gone", widgets_values: [1, 2] }, undefined)).toEqual({ values: {}, controls: {}, form: { kind: "opaque" } });
  });
});

describe("writing values", () => {
  it("changes only the place of the value that was set", () => {
    const json = workflowWith({ type: "KSampler", widgets_values: [5, true, 20, 8, "euler", "normal", 1] });
    const store = storeWith(loadWorkflow(json, definitions).document);
    store.getState().edit("Set", (draft) => setValue(draft, ROOT, "1", "steps", 30));
    expect(savedNode(saveWorkflow(store.getState().document))["widgets_values"]).toEqual([5, true, 30, 8, "euler", "normal", 1]);
    store.getState().edit("Set", (draft) => setControl(draft, ROOT, "1", "seed", "fixed"));
    expect(savedNode(saveWorkflow(store.getState().document))["widgets_values"]).toEqual([5, "fixed", 30, 8, "euler", "normal", 1]);
  });

  it("keeps a number at the end that nobody knows", () => {
    const json = workflowWith({ type: "KSampler", widgets_values: [5, "fixed", 20, 8, "euler", "normal", 1, "left over"] });
    const store = storeWith(loadWorkflow(json, definitions).document);
    store.getState().edit("Set", (draft) => setValue(draft, ROOT, "1", "seed", 6));
    expect(savedNode(saveWorkflow(store.getState().document))["widgets_values"]).toEqual([6, "fixed", 20, 8, "euler", "normal", 1, "left over"]);
  });

  it("fills up a list that was shorter than its class now is", () => {
    const json = workflowWith({ type: "KSampler", widgets_values: [5, "fixed", 20] });
    const store = storeWith(loadWorkflow(json, definitions).document);
    store.getState().edit("Set", (draft) => setValue(draft, ROOT, "1", "denoise", 0.5));
    const [seed, control, steps, , , , denoise] = savedNode(saveWorkflow(store.getState().document))["widgets_values"] as Json[];
    expect([seed, control, steps, denoise]).toEqual([5, "fixed", 20, 0.5]);
  });

  it("adds to values by name", () => {
    const json = workflowWith({ type: "KSampler", widgets_values: { seed: 5, odd: [1] } });
    const ofPack = new Map([...definitions, ["KSampler", { ...sampler, module: "custom_nodes.some_pack" }]]);
    const store = storeWith(loadWorkflow(json, ofPack).document);
    store.getState().edit("Set", (draft) => setValue(draft, ROOT, "1", "steps", 30));
    expect(savedNode(saveWorkflow(store.getState().document))["widgets_values"]).toEqual({ seed: 5, odd: [1], steps: 30 });
  });

  it("gives a new node all values in the order of its class", () => {
    const store = storeWith();
    store.getState().edit("Add", (draft) => void addNode(draft, ROOT, definitions, "KSampler", [0, 0], { values: { steps: 4 } }));
    const node = savedNode(saveWorkflow(store.getState().document));
    expect(node["widgets_values"]).toEqual([0, "randomize", 4, 8, "euler", "simple", 1]);
    expect(readValues(node, undefined).values).toEqual(readValues(node, sampler).values);
  });

  it("an old node whose last widget gets a link lists its widgets in the order of the values", () => {
    const inputs = ["scheduler", "denoise", "cfg", "sampler_name", "steps"].map((name) => ({ name, type: "*", link: null, widget: { name } }));
    const json = workflowWith({ type: "KSampler", inputs, outputs: [], widgets_values: [5, "fixed", 20, 8, "euler", "normal", 1] });
    const store = storeWith(loadWorkflow(json, definitions).document);
    store.getState().edit("Link", (draft) => {
      const primitive = addNode(draft, ROOT, definitions, "PrimitiveNode", [0, 0]);
      const toSlot = slotOf(nodeIn(store.getState().document, "1"), "seed");
      expect(connect(draft, ROOT, definitions, { from: primitive, fromSlot: 0, to: "1", toSlot })).not.toBeNull();
    });
    const saved = saveWorkflow(store.getState().document);
    expect(readValues(savedNode(saved), undefined).values).toEqual(readValues(savedNode(saved), sampler).values);
    const again = loadWorkflow(saved, definitions);
    const link = Object.values(graphIn(again.document).links)[0]!;
    expect(nodeIn(again.document, "1").inputs[link.toSlot]?.name).toBe("seed");
    // The primitive took over the value and what happens to it after a run.
    expect(nodeIn(again.document, "2").values).toEqual({ value: 5 });
  });

  it("shows a widget as an input and back", () => {
    const store = storeWith(loadWorkflow(workflowWith({ type: "KSampler", widgets_values: [] }), definitions).document);
    store.getState().edit("Show", (draft) => setWidgetAsInput(draft, ROOT, "1", "seed", true));
    expect(nodeIn(store.getState().document, "1").properties["safelight.inputs"]).toEqual(["seed"]);
    store.getState().edit("Hide", (draft) => setWidgetAsInput(draft, ROOT, "1", "seed", false));
    expect(nodeIn(store.getState().document, "1").properties).toEqual({});
  });

  it("finds a seed of any name by its option", () => {
    const definition = parseDefinition("Other", { input: { required: { start: ["INT", { control_after_generate: true }], seed: ["FLOAT", {}] } } });
    expect(definition.inputs.map((one) => one.seed)).toEqual([true, false]);
  });
});
