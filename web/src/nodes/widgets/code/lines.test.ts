import { expect, test } from "vitest";
import { placeOf, remarksOf } from "./lines";

test("what a compiler says of lines", () => {
  const told = "GLSLShader: The shader does not compile:\nline 7: 'x' : undeclared identifier\n    7 | x = 1.0;\nline 7: '' : again\nline 12: syntax error";
  expect(remarksOf(told)).toEqual([{ line: 7, text: "'x' : undeclared identifier" }, { line: 12, text: "syntax error" }]);
  expect(remarksOf("The headline 3: nothing")).toEqual([]);
});

test("where a line stands", () => {
  const text = "one\n\nthree";
  expect([placeOf(text, 1), placeOf(text, 2), placeOf(text, 3), placeOf(text, 9), placeOf("", 1)]).toEqual([[0, 3], [4, 4], [5, 10], [5, 10], [0, 0]]);
});
