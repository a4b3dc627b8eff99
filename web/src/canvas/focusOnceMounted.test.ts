// @vitest-environment happy-dom
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { focusOnceMounted } from "./focusOnceMounted";

function element(attributes: Record<string, string>): HTMLElement {
  const made = document.createElement("div");
  for (const [name, value] of Object.entries({ tabindex: "0", ...attributes })) made.setAttribute(name, value);
  document.body.append(made);
  return made;
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  vi.runAllTimers();
  vi.useRealTimers();
  document.body.replaceChildren();
});

it("waits for a node that a busy page mounts late", () => {
  focusOnceMounted(() => document.body, "7", 30);
  vi.advanceTimersByTime(1000);
  const node = element({ "data-node": "7" });
  vi.advanceTimersByTime(100);
  expect(document.activeElement).toBe(node);
});

it("leaves the focus where the user has put it meanwhile", () => {
  const field = element({});
  focusOnceMounted(() => document.body, "7", 30);
  vi.advanceTimersByTime(1000);
  field.focus();
  element({ "data-node": "7" });
  vi.advanceTimersByTime(1000);
  expect(document.activeElement).toBe(field);
});

it("takes the focus from what had it before, and the newest wins", () => {
  element({}).focus();
  const [first, second] = [element({ "data-node": "1" }), element({ "data-node": "2" })];
  focusOnceMounted(() => document.body, "1", 30);
  focusOnceMounted(() => document.body, "2", 30);
  const focused = vi.spyOn(first, "focus");
  vi.advanceTimersByTime(1000);
  expect(document.activeElement).toBe(second);
  expect(focused).not.toHaveBeenCalled();
});
