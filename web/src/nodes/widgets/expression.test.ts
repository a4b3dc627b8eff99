import { describe, expect, it } from "vitest";
import { evaluate } from "./expression";

describe("numbers typed as expressions", () => {
  it.each([
    ["512*2", 1024],
    ["(3+1)/2", 2],
    ["2^3^2", 512],
    ["-4 + 10", 6],
    ["1,5", 1.5],
    ["1e3", 1000],
    [".5", 0.5],
    ["10 % 4", 2],
    ["2 × 3", 6],
    ["-2^2", -4],
  ])("%s is %d", (text, value) => expect(evaluate(text)).toBe(value));

  it.each(["", "abc", "1+", "(1", "1 2", "alert(1)", "1/0", "2**", ")"])("%s is no number", (text) => expect(evaluate(text)).toBeNull());
});
