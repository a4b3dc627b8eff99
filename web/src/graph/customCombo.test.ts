import { expect, it } from "vitest";
import { type Definitions, inputOf, parseDefinition } from "./definitions";
import { shapeOf } from "./dynamic";
import { setValue } from "./edits";
import { loadWorkflow } from "./load";
import { saveWorkflow } from "./save";
import { createDocumentStore } from "./store";
import { nodeIn } from "./testing/samples";
import { type JsonObject, ROOT } from "./types";

const declared = parseDefinition("CustomCombo", { input: { required: { choice: [[], {}] } }, output: ["STRING", "INT"], python_module: "comfy_extras.nodes_combo" });
const definitions: Definitions = new Map([["CustomCombo", declared]]);
const file = { nodes: [{ id: 1, type: "CustomCombo", pos: [0, 0], inputs: [], outputs: [], widgets_values: ["9:16", 1, "16:9", "9:16", ""] }], links: [] };

it("shows the options that stand on it, and saves it as it was", () => {
  const { document } = loadWorkflow(file, definitions);
  const node = nodeIn(document, "1");
  expect(node.values).toEqual({ choice: "9:16", index: 1, option1: "16:9", option2: "9:16", option3: "" });
  expect(inputOf(shapeOf(node, declared), "choice")?.choices).toEqual(["16:9", "9:16"]);
  expect(saveWorkflow(document)).toStrictEqual(file);
});

it("says by itself where another choice stands, and offers one more option after the last", () => {
  const store = createDocumentStore({ document: loadWorkflow(file, definitions).document, definitions });
  const values = (): unknown => (saveWorkflow(store.getState().document)["nodes"] as JsonObject[])[0]!["widgets_values"];
  store.getState().edit("", (draft) => setValue(draft, ROOT, "1", "choice", "16:9"));
  expect(values()).toEqual(["16:9", 0, "16:9", "9:16", ""]);
  store.getState().edit("", (draft) => setValue(draft, ROOT, "1", "option3", "1:1"));
  expect(values()).toEqual(["16:9", 0, "16:9", "9:16", "1:1", ""]);
});
