import { expect, test } from "vitest";
import { loadWorkflow } from "@/graph/load";
import { ROOT } from "@/graph/types";
import { linkSource, outputSource } from "./inspect";

const socket = (name: string, type: string, link: number | null) => ({ name, type, link });
const out = (name: string, type: string, links: number[]) => ({ name, type, links });
const node = (id: number, type: string, inputs: object[], outputs: object[], mode = 0) => ({ id, type, pos: [0, 0], size: [1, 1], mode, flags: {}, order: 0, properties: {}, inputs, outputs });

const INNER = {
  id: "7a0e6b4e-1111-4222-8333-944444444444",
  name: "Inner",
  version: 1,
  state: {},
  inputNode: { id: -10, bounding: [0, 0, 1, 1] },
  outputNode: { id: -20, bounding: [0, 0, 1, 1] },
  inputs: [{ id: "in", name: "image", type: "IMAGE", linkIds: [1] }],
  outputs: [{ id: "out", name: "IMAGE", type: "IMAGE", linkIds: [2] }],
  widgets: [],
  nodes: [node(8, "Blur", [socket("image", "IMAGE", 1)], [out("IMAGE", "IMAGE", [2])])],
  links: [
    { id: 1, origin_id: -10, origin_slot: 0, target_id: 8, target_slot: 0, type: "IMAGE" },
    { id: 2, origin_id: 8, origin_slot: 0, target_id: -20, target_slot: 0, type: "IMAGE" },
  ],
  groups: [],
};

const { document } = loadWorkflow(
  {
    last_node_id: 20,
    last_link_id: 20,
    version: 0.4,
    nodes: [
      node(1, "Load", [], [out("IMAGE", "IMAGE", [1])]),
      node(2, "Reroute", [socket("", "*", 1)], [out("", "IMAGE", [2])]),
      node(3, "Sharpen", [socket("mask", "MASK", null), socket("image", "IMAGE", 2)], [out("IMAGE", "IMAGE", [3])], 4),
      node(4, INNER.id, [socket("image", "IMAGE", 3)], [out("IMAGE", "IMAGE", [4])]),
      node(5, "Save", [socket("images", "IMAGE", 4)], []),
      node(6, "Load", [], [out("IMAGE", "IMAGE", [5])], 2),
      node(7, "Save", [socket("images", "IMAGE", 5)], []),
    ],
    links: [
      [1, 1, 0, 2, 0, "IMAGE"],
      [2, 2, 0, 3, 1, "IMAGE"],
      [3, 3, 0, 4, 0, "IMAGE"],
      [4, 4, 0, 5, 0, "IMAGE"],
      [5, 6, 0, 7, 0, "IMAGE"],
    ],
    groups: [],
    config: {},
    extra: {},
    definitions: { subgraphs: [INNER] },
  },
  new Map(),
);
const root = { graphId: ROOT, path: [] };
const inside = { graphId: INNER.id, path: ["4"] };

test("a link's value comes from the node behind reroutes and bypassed nodes", () => {
  expect(linkSource(document, root, "1")).toEqual({ node: "1", slot: 0 });
  expect(linkSource(document, root, "3")).toEqual({ node: "1", slot: 0 });
});

test("out of a subgraph it comes from the node inside, and into one from the node outside", () => {
  expect(linkSource(document, root, "4")).toEqual({ node: "4:8", slot: 0 });
  expect(linkSource(document, inside, "2")).toEqual({ node: "4:8", slot: 0 });
  expect(linkSource(document, inside, "1")).toEqual({ node: "1", slot: 0 });
});

test("muted nodes give nothing", () => {
  expect(linkSource(document, root, "5")).toBeNull();
  expect(linkSource(document, root, "99")).toBeNull();
  expect(outputSource(document, root, "nobody", 0)).toBeNull();
});
