import { expect, it } from "vitest";
import { passedInput } from "./bypass";
import { parseDefinition } from "./definitions";
import { readNode } from "./read";

const slots = (types: readonly string[]): object[] => types.map((type, at) => ({ name: `in${at}`, type, link: null }));

it.each([
  ["the one beside the output", ["IMAGE", "IMAGE"], 1, "IMAGE", 1],
  ["the first of the type", ["MODEL", "LATENT", "LATENT"], 0, "LATENT", 1],
  ["one of a union", ["IMAGE,MASK"], 0, "MASK", 0],
  ["one that takes anything", ["MODEL", "*"], 0, "STRING", 1],
  ["rather the very type than a union before it", ["MODEL", "IMAGE,MASK", "IMAGE"], 0, "IMAGE", 2],
  ["the one beside where anything is asked for", ["MODEL", "CLIP"], 1, "*", 1],
  ["the first where anything is asked for and none is beside", ["MODEL"], 3, "*", 0],
  ["none that INT would have to become", ["INT"], 0, "FLOAT", -1],
  ["nothing of another type", ["MODEL"], 0, "CLIP", -1],
])("a bypassed node passes on %s", (_, types, slot, asked, expected) => {
  expect(passedInput(readNode({ id: 1, type: "X", inputs: slots(types) as never }, undefined), slot, asked)).toBe(expected);
});

it("counts inputs as the class has them, sockets before widgets", () => {
  const definition = parseDefinition("X", { input: { required: { word: ["STRING", {}], first: ["IMAGE"], second: ["IMAGE"] } }, output: ["IMAGE"] });
  const node = readNode({ id: 1, type: "X", inputs: [{ name: "second", type: "IMAGE", link: 5 }, { name: "first", type: "IMAGE", link: 6 }] }, definition);
  expect(node.inputs[passedInput(node, 0, "IMAGE", definition)]?.name).toBe("first");
  expect(node.inputs[passedInput(node, 1, "IMAGE", definition)]?.name).toBe("second");
});
