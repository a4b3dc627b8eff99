import { describe, expect, it } from "vitest";
import { inputOf } from "./definitions";
import { narrowed, numberProblem, problemsOf, readDefault, readNumber, toggledChoices } from "./parameterChecks";
import { definitions } from "./testing/samples";

const steps = inputOf(definitions.get("KSampler"), "steps")!;
const sampler = inputOf(definitions.get("KSampler"), "sampler_name")!;
const text = inputOf(definitions.get("CLIPTextEncode"), "text")!;

describe("what is said of a parameter", () => {
  it("narrows the node's own range, and never widens it", () => {
    expect(narrowed(steps, { min: 4, max: 30, step: 2, doc: "How long." })).toMatchObject({ min: 4, max: 30, step: 2, tooltip: "How long." });
    expect(narrowed(steps, { min: -5, max: 1e9 })).toMatchObject({ min: steps.min, max: steps.max });
    expect(narrowed(sampler, { choices: ["euler", "nobody"] }).choices).toEqual(["euler"]);
    expect(narrowed(text, { min: 3 }).min).toBeUndefined();
  });

  it("is refused with the reason when it does not fit the node, or the other bound", () => {
    expect(numberProblem(steps, { max: 30 }, "min", 31)).toContain("more than the maximum, 30");
    expect(numberProblem(steps, { min: 4 }, "max", 3)).toContain("less than the minimum, 4");
    expect(numberProblem(steps, {}, "min", 0)).toContain(`no less than ${steps.min}`);
    expect(numberProblem(steps, {}, "step", 0)).not.toBeNull();
    expect(numberProblem(steps, {}, "min", undefined)).toBeNull();
    expect(numberProblem(steps, { min: 4 }, "max", 4)).toBeNull();
  });

  it("reads numbers and defaults as they are written", () => {
    expect([readNumber("", true), readNumber(" 5 ", true), readNumber("0,5", false)]).toEqual([undefined, 5, 0.5]);
    expect(readNumber("5.5", true)).toContain("whole");
    expect(readNumber("x", false)).toContain("number");
    expect(readDefault(steps, { max: 30 }, "31").problem).toContain("30");
    expect(readDefault(steps, {}, "20")).toEqual({ value: 20 });
    expect(readDefault(sampler, { choices: ["euler"] }, "heun").problem).toBeDefined();
    expect(readDefault(sampler, {}, "euler")).toEqual({ value: "euler" });
    expect(readDefault(text, {}, "0")).toEqual({ value: "0" });
  });

  it("tells what no longer fits a node that has changed", () => {
    expect(problemsOf(steps, { min: 4, max: 30, default: 12 })).toEqual([]);
    expect(problemsOf(steps, { min: 10, max: 5 })).toHaveLength(1);
    expect(problemsOf(steps, { max: 10, default: 12 })).toEqual(["Default: It is more than the maximum, 10."]);
    expect(problemsOf(sampler, { choices: ["gone"] })[0]).toContain("gone");
  });

  it("offers some of the choices, in the node's order, and all of them as no narrowing", () => {
    const all = ["a", "b", "c"];
    expect(toggledChoices(all, undefined, "b")).toEqual(["a", "c"]);
    expect(toggledChoices(all, ["c"], "a")).toEqual(["a", "c"]);
    expect(toggledChoices(all, ["a", "c"], "b")).toBeUndefined();
  });
});
