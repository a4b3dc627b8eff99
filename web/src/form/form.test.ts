import { expect, test } from "vitest";
import { parseDefinitions } from "@/graph/definitions";
import { loadWorkflow } from "@/graph/load";
import { createDocumentStore } from "@/graph/store";
import { exposeUsual, formFields, titled } from "./fields";

const { definitions } = parseDefinitions({
  Sampler: {
    input: { required: { latent: ["LATENT"], seed: ["INT", { default: 0, min: 0, max: 99 }], steps: ["INT", { default: 20, min: 1, max: 100 }], cfg: ["FLOAT", { default: 4 }] } },
    input_order: { required: ["latent", "seed", "steps", "cfg"] },
    output: ["LATENT"],
    output_name: ["LATENT"],
    output_is_list: [false],
    name: "Sampler",
    display_name: "Sampler",
    category: "",
    output_node: false,
  },
});

function store() {
  const node = { id: 5, type: "Sampler", pos: [0, 0], size: [1, 1], mode: 0, flags: {}, order: 0, properties: {}, inputs: [], outputs: [], widgets_values: [7, "fixed", 30, 2] };
  const { document } = loadWorkflow({ last_node_id: 5, last_link_id: 0, nodes: [node], links: [], groups: [], config: {}, extra: {}, version: 0.4 }, definitions);
  return createDocumentStore({ document, definitions });
}

test("the usual inputs become fields, and undo takes them away again", () => {
  const made = store();
  expect(formFields(made.getState())).toEqual([]);
  expect(exposeUsual(made)).toBe(3);
  expect(formFields(made.getState()).map(({ label, value }) => [label, value])).toEqual([
    ["Seed", 7],
    ["Steps", 30],
    ["CFG", 2],
  ]);
  made.getState().undo();
  expect(formFields(made.getState())).toEqual([]);
});

test("names become labels", () => {
  expect(["sampler_name", "cfg", "x"].map(titled)).toEqual(["Sampler name", "CFG", "X"]);
});
