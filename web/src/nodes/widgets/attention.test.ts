import { describe, expect, it } from "vitest";
import { changeWeight } from "./attention";

describe("attention weights", () => {
  it("weighs the word at the caret", () => {
    expect(changeWeight("a red cat", 4, 4, 0.05)).toEqual({ text: "a (red:1.05) cat", start: 3, end: 6 });
  });
  it("weighs what is selected, without the spaces around it", () => {
    expect(changeWeight("a red cat", 1, 9, 0.1).text).toBe("a (red cat:1.1)".replace("a ", "a "));
  });
  it("changes a weight that is there", () => {
    expect(changeWeight("a (red:1.05) cat", 4, 4, 0.05).text).toBe("a (red:1.1) cat");
  });
  it("takes the bracket away at one", () => {
    expect(changeWeight("a (red:1.05) cat", 4, 4, -0.05)).toEqual({ text: "a red cat", start: 2, end: 5 });
  });
  it("leaves empty places alone", () => {
    expect(changeWeight("  ", 1, 1, 0.05).text).toBe("  ");
  });
});
