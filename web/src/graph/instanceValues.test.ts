import { describe, expect, it } from "vitest";
import { type Definitions, parseDefinition } from "./definitions";
import { setValue } from "./edits";
import { type Source, effective } from "./effective";
import { definitionOf } from "./instances";
import { loadWorkflow } from "./load";
import { saveWorkflow } from "./save";
import { publishInput } from "./subgraphs";
import { definitions as sampled, nodeIn, storeWith } from "./testing/samples";
import { type Document, type Json, type JsonObject, ROOT } from "./types";

const SUB = "1b1b1b1b-0000-4000-8000-000000000001";

const upscale = { input: { required: { samples: ["LATENT"], upscale_method: [["nearest-exact", "area"]], scale_by: ["FLOAT", { default: 1.5 }] } }, output: ["LATENT"] };
const definitions: Definitions = new Map([...sampled, ["LatentUpscaleBy", parseDefinition("LatentUpscaleBy", upscale)]]);

const widgets = (names: Record<string, [string, number | null]>): object[] =>
  Object.entries(names).map(([name, [type, link]]) => ({ name, type, link, widget: { name } }));

/** An instance of a subgraph whose inputs are width, height and scale_by. */
function latent(instance: object, inside: object = {}): JsonObject {
  const nodes = [
    { id: 11, type: "EmptyLatentImage", inputs: widgets({ width: ["INT", 2], height: ["INT", 3], batch_size: ["INT", null] }), outputs: [{ name: "LATENT", type: "LATENT", links: [1] }], widgets_values: [512, 768, 1] },
    { id: 12, type: "LatentUpscaleBy", inputs: [{ name: "samples", type: "LATENT", link: 1 }, ...widgets({ upscale_method: ["COMBO", null], scale_by: ["FLOAT", 4] })], outputs: [{ name: "LATENT", type: "LATENT", links: [5] }], widgets_values: ["nearest-exact", 1.5] },
  ];
  const ends = [[1, 11, 0, 12, 0], [2, -10, 0, 11, 0], [3, -10, 1, 11, 1], [4, -10, 2, 12, 2], [5, 12, 0, -20, 0]] as const;
  const links = ends.map(([id, origin_id, origin_slot, target_id, target_slot]) => ({ id, origin_id, origin_slot, target_id, target_slot, type: "*" }));
  const inputs = [["width", "INT", 2], ["height", "INT", 3], ["scale_by", "FLOAT", 4]] as const;
  const definition = {
    id: SUB,
    name: "Latent",
    inputNode: { id: -10, bounding: [-400, 0, 120, 60] },
    outputNode: { id: -20, bounding: [800, 0, 120, 60] },
    inputs: inputs.map(([name, type, link]) => ({ id: name, name, type, linkIds: [link] })),
    outputs: [{ id: "out", name: "LATENT", type: "LATENT", linkIds: [5] }],
    nodes,
    links,
    ...inside,
  };
  const outputs = [{ name: "LATENT", type: "LATENT", links: [] }];
  return { nodes: [{ id: 8, type: SUB, pos: [0, 0], inputs: [], outputs, ...instance }], links: [], definitions: { subgraphs: [definition] }, version: 0.4 } as unknown as JsonObject;
}

function shown(document: Document, path: string[], id: string, name: string): Json {
  const found: Source = effective({ document, definitions }, path, id, name);
  return typeof found === "string" ? found : found.value;
}

function inside(workflow: JsonObject): Json[] {
  const { document } = loadWorkflow(workflow, definitions);
  const values = [["11", "width"], ["11", "height"], ["12", "scale_by"], ["12", "upscale_method"]].map(([id, name]) => shown(document, ["8"], id!, name!));
  expect(saveWorkflow(document)).toStrictEqual(workflow);
  return values;
}

const proxies = (...pairs: [string, string][]): object => ({ properties: { proxyWidgets: pairs } });

describe("values of an instance", () => {
  it.each([
    ["all listed", { inputs: widgets({ width: ["INT", null], height: ["INT", null], scale_by: ["FLOAT", null] }), widgets_values: [640, 704, 2] }, [640, 704, 2, "nearest-exact"]],
    ["none listed", { widgets_values: [640, 704, 2] }, [640, 704, 2, "nearest-exact"]],
    ["listed in another order", { inputs: widgets({ scale_by: ["FLOAT", null], width: ["INT", null] }), widgets_values: [640, 704, 2] }, [640, 704, 2, "nearest-exact"]],
    ["fewer", { widgets_values: [640] }, [640, 768, 1.5, "nearest-exact"]],
    ["a null", { widgets_values: [null, 704] }, [512, 704, 1.5, "nearest-exact"]],
    ["none", {}, [512, 768, 1.5, "nearest-exact"]],
    ["stale ones by name", { widgets_values: [640, 704, 2], widgets_values_named: { width: 1, height: 2, scale_by: 3 } }, [640, 704, 2, "nearest-exact"]],
    ["by name alone", { widgets_values_named: { width: 1, scale_by: 3 } }, [1, 768, 3, "nearest-exact"]],
    ["named by place", { widgets_values: [704, 640], ...proxies(["-1", "height"], ["-1", "width"]) }, [640, 704, 1.5, "nearest-exact"]],
    ["inner names by place", { widgets_values: [2, 704, 640], ...proxies(["12", "scale_by"], ["11", "height"], ["11", "width"]) }, [640, 704, 2, "nearest-exact"]],
    ["one of an inner widget", { widgets_values: [640, "area"], ...proxies(["11", "width"], ["12", "upscale_method"]) }, [640, "area", 1.5, "area"]],
  ])("%s", (_, instance, expected) => {
    expect(inside(latent(instance))).toEqual(expected);
  });

  it("are of the inputs that lead to a widget of a class, marked or not, and of no socket", () => {
    const workflow = latent({ widgets_values: [640, 704, 2] });
    const [definition] = (workflow as unknown as { definitions: { subgraphs: { nodes: { inputs: { widget?: object }[] }[] }[] } }).definitions.subgraphs;
    for (const node of definition!.nodes) for (const slot of node.inputs) delete slot.widget;
    expect(inside(workflow)).toEqual([640, 704, 2, "nearest-exact"]);
  });

  it("are shown on sockets that the file does not list, and those can be linked", () => {
    const { document } = loadWorkflow(latent({ widgets_values: [640] }), definitions);
    const node = nodeIn(document, "8");
    expect(node.inputs.map((slot) => [slot.name, slot.widget, slot.added])).toEqual([["width", "width", true], ["height", "height", true], ["scale_by", "scale_by", true]]);
    expect(definitionOf(document, definitions, node)?.inputs.map((input) => [input.name, input.kind])).toEqual([["width", "int"], ["height", "int"], ["scale_by", "float"]]);
  });

  it("are written in the order of the definition, as a list and by name, with what is set inside for those between", () => {
    const store = storeWith(loadWorkflow(latent({ inputs: widgets({ scale_by: ["FLOAT", null] }), widgets_values: [640], widgets_values_named: { width: 640 } }), definitions).document);
    store.getState().edit("", (draft) => setValue(draft, ROOT, "8", "scale_by", 3));
    const [node] = saveWorkflow(store.getState().document)["nodes"] as JsonObject[];
    expect(node!["widgets_values"]).toEqual([640, 768, 3]);
    expect(node!["widgets_values_named"]).toEqual({ width: 640, height: 768, scale_by: 3 });
  });

  it("are written so that both rules of reading agree where the instance names widgets", () => {
    const store = storeWith(loadWorkflow(latent({ widgets_values: [640, "area"], ...proxies(["11", "width"], ["12", "upscale_method"]) }), definitions).document);
    store.getState().edit("", (draft) => setValue(draft, ROOT, "8", "height", 704));
    const saved = saveWorkflow(store.getState().document);
    const [node] = saved["nodes"] as { widgets_values: Json; properties: JsonObject }[];
    expect(node!.widgets_values).toEqual([640, 704, 1.5, "area"]);
    expect(node!.properties["proxyWidgets"]).toEqual([["-1", "width"], ["-1", "height"], ["-1", "scale_by"], ["12", "upscale_method"]]);
    expect(inside(saved)).toEqual([640, 704, 1.5, "area"]);
  });

  it("get a place for an input that is published later", () => {
    const store = storeWith(loadWorkflow(latent({ widgets_values: [640, 704, 2] }), definitions).document);
    store.getState().edit("", (draft) => {
      publishInput(draft, SUB, { node: "11", slot: 2 });
      setValue(draft, ROOT, "8", "batch_size", 4);
    });
    const [node] = saveWorkflow(store.getState().document)["nodes"] as JsonObject[];
    expect(node!["widgets_values"]).toEqual([640, 704, 2, 4]);
  });

  it("tell of a link to an input that the subgraph does not have", () => {
    const workflow = latent({ inputs: [{ name: "gone", type: "INT", link: 9 }] });
    const primitive = { id: 9, type: "PrimitiveInt", pos: [0, 0], outputs: [{ name: "INT", type: "INT", links: [9] }], widgets_values: [99, "fixed"] };
    const { problems } = loadWorkflow({ ...workflow, nodes: [...(workflow["nodes"] as Json[]), primitive], links: [[9, 9, 0, 8, 0, "INT"]] }, definitions);
    expect(problems.map((one) => one.message)).toEqual(["The subgraph Latent has no input gone: what is linked to it there does nothing."]);
  });
});
