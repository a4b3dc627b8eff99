import { expect, test } from "vitest";
import { parseDefinitions } from "@/graph/definitions";
import { describeChanges } from "./changes";
import { packOfMissing, troubled, whyMissing, type PackReport } from "./report";

const pack = (name: string, rest: Partial<PackReport> = {}): PackReport => ({ name, module: name, state: "loaded", seconds: 0.1, nodes: [], errors: [], web: false, editor_module: null, ...rest });
const FAILED = pack("broken-pack", { state: "failed", errors: ["__init__.py: line 3: Lamp2 and LampHolder have no bulb"] });
const OFF = pack("Resting_Pack", { state: "disabled" });
const told = (packs: PackReport[], owners: [string, string][] = []) => ({ packs, owners: new Map(owners) });

test("a missing node is of the pack whose error names it as a whole word", () => {
  const state = told([pack("fine"), OFF, FAILED]);
  expect(packOfMissing("LampHolder", {}, state)).toBe(FAILED);
  expect(packOfMissing("Lamp", {}, state)).toBeUndefined();
  expect(packOfMissing("a(b", {}, state)).toBeUndefined();
});

test("a missing node is of the pack that had it before, or that its file names", () => {
  expect(packOfMissing("Chair", {}, told([FAILED], [["Chair", "broken-pack"]]))).toBe(FAILED);
  expect(packOfMissing("Chair", { cnr_id: "resting-pack" }, told([FAILED, OFF]))).toBe(OFF);
  expect(packOfMissing("Chair", { aux_id: "someone/Broken_Pack" }, told([FAILED]))).toBe(FAILED);
  expect(packOfMissing("Chair", { cnr_id: "fine" }, told([pack("fine")], [["Chair", "fine"]]))).toBeUndefined();
});

test("why a node is missing is said for packs that failed, are off, or have errors", () => {
  expect(whyMissing(FAILED)).toBe("Its pack “broken-pack” failed to load.");
  expect(whyMissing(OFF)).toBe("Its pack “Resting_Pack” is switched off.");
  expect(whyMissing(undefined)).toBeNull();
});

test("packs that are off are no trouble, packs whose module failed are", () => {
  const fine = pack("fine");
  expect(troubled({ packs: [fine, OFF, FAILED], problems: new Map() })).toEqual([FAILED]);
  expect(troubled({ packs: [fine], problems: new Map([["fine", ["no module"]]]) })).toEqual([fine]);
  expect(troubled({ packs: null, problems: new Map() })).toEqual([]);
});

const look = (packs: PackReport[], info: Record<string, unknown> = {}) => ({ packs, definitions: parseDefinitions(info).definitions });
const node = (input: object) => ({ input: { required: input }, output: [] });

test("what is different is told by pack and by node", () => {
  const before = look([pack("a", { nodes: ["A", "B"] }), pack("gone"), FAILED], { A: node({ x: ["INT", {}] }), B: node({}) });
  const after = look([pack("a", { nodes: ["A", "C"], errors: ["B: no"] }), pack("new"), pack("broken-pack")], { A: node({ x: ["FLOAT", {}] }), C: node({}) });
  expect(describeChanges(before, after)).toEqual([
    "“a” has errors now.",
    "“new” is new.",
    "“broken-pack” loads now.",
    "“gone” is gone.",
    "1 node is new: C.",
    "1 node is gone: B.",
    "1 node is declared otherwise: A.",
  ]);
});

test("nothing different is said too, and long lists are cut", () => {
  const same = look([pack("a", { nodes: ["A"] })], { A: node({}) });
  expect(describeChanges(same, same)).toEqual(["The packs were read anew. No pack and no node looks different."]);
  const many = look([pack("a", { nodes: ["A", ..."bcdefghijkl"] })]);
  expect(describeChanges(same, many)[0]).toBe("11 nodes are new: b, c, d, e, f, g, h, i and 3 more.");
});
