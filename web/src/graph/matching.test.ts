import { describe, expect, it } from "vitest";
import { isMissing, parseDefinitions } from "./definitions";
import { emptyDocument } from "./load";
import { nodesFor, typesMatch, whyNot } from "./matching";
import { definitions, objectInfo } from "./testing/samples";
import { coerce, nextSeed, stepped, whyInvalid } from "./widgets";

describe("types", () => {
  it.each([
    ["IMAGE", "IMAGE", true],
    ["IMAGE", "*", true],
    ["*", "MODEL", true],
    ["IMAGE,MASK", "MASK", true],
    ["IMAGE", "LATENT,IMAGE", true],
    ["INT", "FLOAT", false],
    ["FLOAT", "INT", false],
    ["COMBO", "STRING", false],
    ["STRING", "COMBO", false],
    ["FLOAT, INT", "INT", true],
    ["LATENT", "IMAGE", false],
  ])("%s → %s: %s", (from, to, fits) => {
    expect(typesMatch(from, to)).toBe(fits);
    expect(whyNot(from, to) === null).toBe(fits);
  });

  it("says why not", () => {
    expect(whyNot("LATENT", "IMAGE,MASK")).toBe("LATENT cannot feed an input of type IMAGE or MASK.");
  });

  it("finds the nodes that a link can go on to, exact types first", () => {
    const found = nodesFor(definitions, { type: "LATENT", side: "output" });
    expect(found[0]?.exact).toBe(true);
    const types = found.map((one) => one.definition.type);
    expect(types).toContain("VAEDecode");
    expect(types).not.toContain("CLIPTextEncode");
    expect(types.indexOf("VAEDecode")).toBeLessThan(types.indexOf("Reroute"));
    expect(nodesFor(definitions, { type: "MODEL", side: "input" }).find((one) => one.definition.type === "CheckpointLoaderSimple")?.slot).toBe(0);
  });
});

describe("definitions", () => {
  it("reports a broken one and reads the others", () => {
    const broken = { ...objectInfo, Bad: { input: { required: { x: "no list" } } }, Worse: 7, Odd: { input: [] } };
    const parsed = parseDefinitions(broken);
    expect(parsed.problems.map((one) => one.type)).toEqual(["Bad", "Worse", "Odd"]);
    expect(parsed.problems[0]?.message).toContain("the input x is not a list");
    expect(parsed.definitions.has("KSampler")).toBe(true);
    expect(parsed.definitions.has("Bad")).toBe(false);
    expect(parseDefinitions(null).problems).toHaveLength(1);
  });

  it("lists a node of several names once, under the first name that the field knows it by", () => {
    const again = (name: string): object => ({ ...(objectInfo["KSampler"] as object), name, alias_of: "KSampler" });
    const { definitions: parsed } = parseDefinitions({ ...objectInfo, Known: again("Known"), Older: again("Older") });
    expect(["KSampler", "Known", "Older"].map((type) => parsed.get(type)?.alias)).toEqual([true, false, true]);
    const offered = nodesFor(parsed, { type: "MODEL", side: "output" }).map((one) => one.definition.type);
    expect(offered).toContain("Known");
    expect(offered).not.toContain("KSampler");
  });

  it("takes choices in both forms", () => {
    const { definitions: parsed } = parseDefinitions({
      A: { input: { required: { one: [["a", "b"], {}], two: ["COMBO", { options: ["c"], multi_select: true }] } }, output: [["a", "b"]] },
    });
    const [one, two] = parsed.get("A")!.inputs;
    expect([one?.kind, one?.choices, two?.choices, two?.multiSelect]).toEqual(["combo", ["a", "b"], ["c"], true]);
    expect(parsed.get("A")?.outputs[0]?.type).toBe("COMBO");
  });

  it("marks types as missing that nothing knows", () => {
    const document = { ...emptyDocument(), extra: { groupNodes: { Mine: {} } } };
    const missing = (type: string): boolean => isMissing(document, definitions, { type } as never);
    expect([missing("Gone"), missing("KSampler"), missing("Note"), missing("workflow>Mine"), missing("workflow>Other")]).toEqual([true, false, false, false, true]);
  });
});

describe("widgets", () => {
  const input = (name: string) => definitions.get("KSampler")!.inputs.find((one) => one.name === name)!;

  it("keeps numbers within their range and whole", () => {
    expect(coerce(input("steps"), 12.6)).toBe(13);
    expect(coerce(input("steps"), 0)).toBe(1);
    expect(coerce(input("cfg"), "7,5")).toBe(7.5);
    expect(coerce(input("denoise"), 3)).toBe(1);
    expect(coerce(input("cfg"), "no number")).toBe(8);
    expect(stepped(input("denoise"), 0.3, -1)).toBe(0.29);
  });

  it("says why a value cannot run", () => {
    expect(whyInvalid(input("sampler_name"), "gone")).toContain("not among the choices");
    expect(whyInvalid(input("steps"), 0)).toContain("below the smallest value, 1");
    expect(whyInvalid(input("steps"), 1.5)).toContain("not a whole number");
    expect(whyInvalid(input("sampler_name"), "euler")).toBeNull();
  });

  it("moves seeds on", () => {
    const seed = input("seed");
    expect(nextSeed(seed, 5, "increment")).toBe(6);
    expect(nextSeed(seed, 0, "decrement")).toBe(0);
    expect(nextSeed(seed, 5, "fixed")).toBe(5);
    expect(nextSeed(seed, 5, "randomize", () => 0.5)).toBeGreaterThan(1e15);
    expect(Number.isSafeInteger(nextSeed(seed, 5, "randomize", () => 0.999999))).toBe(true);
  });
});
