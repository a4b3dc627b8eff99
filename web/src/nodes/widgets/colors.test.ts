import { expect, test } from "vitest";
import { hexOf, typedColor, withHex } from "./colors";

test("colours are shown, whatever form they have", () => {
  expect([hexOf("#0A9299"), hexOf("#0a929980"), hexOf("#fa0"), hexOf(8421504), hexOf(255)]).toEqual(["#0A9299", "#0a9299", "#ffaa00", "#808080", "#0000ff"]);
  for (const value of ["red", "", null, -1, 0x1000000]) expect(hexOf(value)).toBe("#000000");
});

test("a picked colour keeps the form and the opacity", () => {
  expect([withHex("#000000", "#ff0000"), withHex("#00000080", "#ff0000"), withHex("red", "#ff0000"), withHex(0, "#ff8000")]).toEqual(["#ff0000", "#ff000080", "#ff0000", 0xff8000]);
});

test("a number stays one while it is typed", () => {
  expect([typedColor("#80", "#8"), typedColor("255", 0), typedColor("#0000ff", 7), typedColor("#00", 7), typedColor("x", 7)]).toEqual(["#80", 255, 255, 7, 7]);
});
