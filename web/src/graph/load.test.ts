import { describe, expect, it } from "vitest";
import { emptyDocument, inexactNumbers, LoadError, loadWorkflow, parseWorkflowText, refreshDefinitions } from "./load";
import { saveWorkflow } from "./save";
import { brokenRules } from "./testing/invariants";
import { definitions, graphIn, nodeIn, objectInfo, ourWorkflow } from "./testing/samples";
import { parseDefinitions } from "./definitions";

function refusal(json: unknown): LoadError {
  try {
    loadWorkflow(json, definitions);
  } catch (error) {
    if (error instanceof LoadError) return error;
    throw error;
  }
  throw new Error("It was loaded.");
}

describe("what is no workflow is refused with a reason", () => {
  it.each([
    ["a list", [], "foreign"],
    ["nothing", {}, "empty"],
    ["a newer version", { nodes: [], links: [], version: 2 }, "newer"],
    ["InvokeAI", { nodes: [], edges: [] }, "foreign"],
    ["a prompt", { "3": { class_type: "KSampler", inputs: {} } }, "prompt"],
    ["what clients post", { prompt: { "3": { class_type: "KSampler" } }, client_id: "x" }, "prompt"],
    ["links as text", { nodes: [], links: "x" }, "broken"],
    ["nodes as text", { nodes: "x", links: [] }, "broken"],
    ["diffusers", { _class_name: "UNet" }, "foreign"],
    ["web UI settings", { prompt: "a cat", sd_model_checkpoint: "x" }, "foreign"],
  ])("%s", (_name, json, kind) => {
    const error = refusal(json);
    expect(error.kind).toBe(kind);
    expect(error.message).toMatch(/[.:]$|\.$/);
  });

  it("text that is no JSON", () => {
    expect(() => parseWorkflowText("{")).toThrow(LoadError);
    expect(parseWorkflowText("\ufeff{}")).toEqual({});
  });
});

it("numbers that JavaScript would change are told", () => {
  expect(inexactNumbers('{"seed": 18446744073709551615, "b": "12345678901234567891", "c": 9007199254740992, "d": 1234567890123456.5}')).toEqual(["18446744073709551615"]);
});

describe("odd files load as far as they can, and nothing in them is lost", () => {
  const odd = {
    nodes: [
      { id: 1, type: "KSampler", pos: { 0: 10, 1: 20 }, inputs: [{ name: "model", type: "MODEL", link: 99 }], flags: null, mine: { a: 1 } },
      { id: 1, type: "KSampler", pos: [0, 0] },
      { type: "no id" },
      "not a node",
      { id: "abc", type: "Missing From Here", size: [10, 10], inputs: null, outputs: [{ name: "x", type: -1, links: [7, 7, 50] }], widgets_values: [[1], null] },
      { id: "constructor", type: "toString", inputs: [{ name: "in", type: ["a", "b"], link: 7 }] },
    ],
    links: [[7, "abc", 3, "constructor", 5, "IMAGE"], [8, 1, 0, 44, 0, "X"], null, [7, 1, 0, 1, 4, "X"], [1]],
    groups: [{ title: "Bad box", bounding: "x" }],
    extra: { ds: { scale: 0.5, offset: [1, 2] }, other: [1] },
    unknown: { deep: [{ a: null }] },
  };

  it("keeps every key and entry, but for the id that two nodes have", () => {
    const { document, problems } = loadWorkflow(odd, definitions);
    expect(saveWorkflow(document)).toStrictEqual({ ...odd, nodes: odd.nodes.map((node, at) => (at === 1 ? { ...(node as object), id: 2 } : node)) });
    expect(Object.keys(graphIn(document).nodes).sort()).toEqual(["1", "2", "abc", "constructor"]);
    expect(problems.length).toBeGreaterThanOrEqual(4);
    expect(brokenRules(document)).toEqual([]);
    expect(document.view).toEqual({ scale: 0.5, offset: [1, 2] });
  });

  it("draws a link where the input that names it stands, from where the last link of its id comes", () => {
    const { document } = loadWorkflow(odd, definitions);
    expect(graphIn(document).links["7"]).toMatchObject({ from: "1", fromSlot: 0, to: "constructor", toSlot: 0 });
    const alone = loadWorkflow({ ...odd, links: odd.links.slice(0, 1) }, definitions).document;
    expect(graphIn(alone).links["7"]).toMatchObject({ from: "abc", fromSlot: 3, to: "constructor", toSlot: 0 });
    expect(nodeIn(alone, "abc").outputs).toHaveLength(4);
  });

  const said = (value: string): object => ({ type: "PrimitiveString", pos: [0, 0], widgets_values: [value], outputs: [{ name: "STRING", type: "STRING", links: value === "A" ? [4] : [5] }] });
  const doubled = {
    last_node_id: 6,
    nodes: [
      { id: 1, title: "One", ...said("A") },
      { id: "1", ...said("B") },
      { id: 2, type: "StringConcatenate", pos: [0, 0], inputs: [{ name: "string_a", type: "STRING", link: 4 }, { name: "string_b", type: "STRING", link: 5 }] },
    ],
    links: [[4, 1, 0, 2, 0, "STRING"], [5, 1, 0, 2, 1, "STRING"]],
  };

  it("gives the second of two nodes with one id a new one, and each the links that it lists", () => {
    const { document, problems } = loadWorkflow(doubled, definitions);
    expect(graphIn(document).nodeOrder).toEqual(["1", "7", "2"]);
    expect(graphIn(document).links["4"]?.from).toBe("1");
    expect(graphIn(document).links["5"]?.from).toBe("7");
    expect(problems).toEqual([
      { message: "Two nodes have the id 1: PrimitiveString is node 7 here; the first with this id is PrimitiveString “One”.", graph: "root", node: "7" },
    ]);
    const saved = saveWorkflow(document);
    expect((saved["nodes"] as { id: number }[]).map((node) => node.id)).toEqual([1, 7, 2]);
    expect(saved["links"]).toEqual([[4, 1, 0, 2, 0, "STRING"], [5, 7, 0, 2, 1, "STRING"]]);
  });

  it("takes the link that says it leads to an input, where the input names one that is gone", () => {
    const [one, , two] = doubled.nodes;
    const { document } = loadWorkflow({ nodes: [one, { ...two, inputs: [{ name: "string_a", type: "STRING", link: 77 }] }], links: doubled.links.slice(0, 1) }, definitions);
    expect(nodeIn(document, "2").inputs[0]?.link).toBe("4");
    const silent = { nodes: [one, { ...two, inputs: [{ name: "string_a", type: "STRING", link: null }] }], links: doubled.links.slice(0, 1) };
    expect(nodeIn(loadWorkflow(silent, definitions).document, "2").inputs[0]?.link).toBe("4");
  });

  it("reads a dict of links, and slots and ids that are text", () => {
    const links = { 4: ["4", "1", "0", 2, "0", "STRING"] };
    const { document, problems } = loadWorkflow({ ...doubled, nodes: [doubled.nodes[0], doubled.nodes[2]].map((node) => ({ ...node, inputs: (node as { inputs?: object[] }).inputs?.slice(0, 1) })), links }, definitions);
    expect(graphIn(document).links["4"]).toMatchObject({ from: "1", fromSlot: 0, to: "2", toSlot: 0 });
    expect(problems).toEqual([]);
  });

  it("keeps a reroute's ring out of the document and in the file", () => {
    const json = {
      nodes: [],
      links: [],
      extra: { reroutes: [{ id: 1, parentId: 2, pos: [0, 0], linkIds: [] }, { id: 2, parentId: 1, pos: [0, 0], linkIds: [] }], linkExtensions: [{ id: 4, parentId: 1 }] },
    };
    const { document } = loadWorkflow(json, definitions);
    expect(brokenRules(document)).toEqual([]);
    expect(Object.keys(graphIn(document).reroutes)).toEqual(["1", "2"]);
  });
});

describe("definitions that come later", () => {
  it("names the values and adds the sockets", () => {
    const json = ourWorkflow("text_to_image");
    const late = refreshDefinitions(loadWorkflow(json, new Map()).document, definitions);
    const at_once = loadWorkflow(json, definitions).document;
    expect(Object.values(graphIn(late).nodes).map((node) => [node.values, node.inputs.length])).toEqual(
      Object.values(graphIn(at_once).nodes).map((node) => [node.values, node.inputs.length]),
    );
    expect(saveWorkflow(late)).toStrictEqual(json);
    expect(refreshDefinitions(late, definitions)).toBe(late);
  });

  it("adds the inputs that a class has gained, and still saves the file as it was", () => {
    const json = ourWorkflow("text_to_image");
    const info = structuredClone(objectInfo) as Record<string, { input: { required: Record<string, unknown> }; input_order: { required: string[] } }>;
    info["KSampler"]!.input.required["extra"] = ["IMAGE", {}];
    info["KSampler"]!.input_order.required.push("extra");
    const grown = parseDefinitions(info).definitions;
    const document = refreshDefinitions(loadWorkflow(json, definitions).document, grown);
    const sampler = Object.values(graphIn(document).nodes).find((node) => node.type === "KSampler")!;
    expect(sampler.inputs.at(-1)).toMatchObject({ name: "extra", added: true });
    expect(saveWorkflow(document)).toStrictEqual(json);
  });
});

it("an empty document saves as an empty workflow", () => {
  expect(saveWorkflow(emptyDocument())).toMatchObject({ nodes: [], links: [], version: 0.4 });
});

describe("inputs that earlier versions called otherwise", () => {
  it("a text format has the field's names for its inputs", () => {
    const text = { name: "template", type: "STRING", link: null, widget: { name: "template" } };
    const node = { id: 1, type: "StringFormat", inputs: [{ name: "a", type: "*", link: null }, text], outputs: [], widgets_values: ["{a}"] };
    const saved = saveWorkflow(loadWorkflow({ nodes: [node], links: [] }, definitions).document) as { nodes: { inputs: { name: string; widget?: { name: string } }[] }[] };
    expect(saved.nodes[0]?.inputs.map((one) => [one.name, one.widget?.name])).toEqual([["values.a", undefined], ["f_string", "f_string"]]);
  });
});
