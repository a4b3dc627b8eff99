import { expect, it } from "vitest";
import { addBridge, bridgesBetween, openSockets } from "./bridges";
import { type Definitions, parseDefinitions } from "./definitions";
import { addNode } from "./edits";
import { linksOf } from "./graphs";
import { createDocumentStore } from "./store";
import { emptyDocument } from "./load";
import { graphIn, nodeIn, objectInfo, slotOf } from "./testing/samples";
import { ROOT } from "./types";

const number = { input: { required: { value: ["INT,FLOAT,BOOLEAN", { widgetType: "FLOAT", default: 0 }] } }, output: ["FLOAT", "INT", "BOOLEAN"] };
const one = (type: string): object => ({ input: { required: { value: [type, {}] } }, output: [type] });
const definitions: Definitions = parseDefinitions({ ...objectInfo, ConvertNumber: number, Whole: one("INT"), Real: one("FLOAT") }).definitions;

it.each([
  ["INT", "FLOAT", "ConvertNumber", 0],
  ["INT", "FLOAT,MODEL", "ConvertNumber", 0],
  ["FLOAT", "INT", "ConvertNumber", 1],
  ["LATENT", "IMAGE", "VAEDecode", 0],
  ["CLIP", "CONDITIONING", "CLIPTextEncode", 0],
])("%s → %s goes over %s", (from, to, type, output) => {
  const [first] = bridgesBetween(definitions, from, to).filter((bridge) => bridge.definition.type === type);
  expect(first?.output).toBe(output);
});

it("knows of nothing between types that have nothing to do with each other, and of nothing where none is needed", () => {
  expect(bridgesBetween(definitions, "MODEL", "IMAGE")).toEqual([]);
  expect(bridgesBetween(definitions, "INT", "INT,FLOAT")).toEqual([]);
});

it("says what else a node between needs", () => {
  expect(openSockets(bridgesBetween(definitions, "LATENT", "IMAGE")[0]!)).toEqual(["vae"]);
  expect(openSockets(bridgesBetween(definitions, "INT", "FLOAT")[0]!)).toEqual([]);
});

it("is put halfway and linked at both sides, in one step", () => {
  const store = createDocumentStore({ document: emptyDocument(), definitions });
  const { edit } = store.getState();
  const ids: string[] = [];
  edit("", (draft) => ids.push(addNode(draft, ROOT, definitions, "Whole", [0, 0], { size: [100, 50] }), addNode(draft, ROOT, definitions, "Real", [800, 200])));
  const [from, to] = ids as [string, string];
  const document = () => store.getState().document;
  const toSlot = slotOf(nodeIn(document(), to), "value");
  let made = "";
  edit("", (draft) => {
    made = addBridge(draft, ROOT, definitions, { from, fromSlot: 0, to, toSlot }, bridgesBetween(definitions, "INT", "FLOAT")[0]!);
  });
  expect(linksOf(graphIn(document())).map((link) => [link.from, link.fromSlot, link.to])).toEqual([[from, 0, made], [made, 0, to]]);
  expect(nodeIn(document(), made).pos).toEqual([350, 100]);
  store.getState().undo();
  expect(linksOf(graphIn(document()))).toEqual([]);
});
