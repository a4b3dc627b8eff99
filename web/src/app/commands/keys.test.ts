// @vitest-environment happy-dom
import { describe, expect, it } from "vitest";
import { belongsToField, keysOf, keysText, normalizeKeys } from "./keys";

const press = (init: KeyboardEventInit) => keysOf(new KeyboardEvent("keydown", init));

describe("keys", () => {
  it("has one spelling for a combination", () => {
    expect(normalizeKeys("shift+mod+k")).toBe("Mod+Shift+K");
    expect(normalizeKeys("Alt++")).toBe("Alt+Plus");
    expect(normalizeKeys("Control+x")).toBe("Ctrl+X");
  });

  it("reads key presses", () => {
    expect(press({ key: "k", code: "KeyK", ctrlKey: true })).toBe("Mod+K");
    expect(press({ key: "K", code: "KeyK", ctrlKey: true, shiftKey: true })).toBe("Mod+Shift+K");
    expect(press({ key: "?", code: "Slash", shiftKey: true })).toBe("?");
    expect(press({ key: "!", code: "Digit1", shiftKey: true })).toBe("Shift+1");
    expect(press({ key: "+", code: "Equal", shiftKey: true, altKey: true })).toBe("Alt+Plus");
    expect(press({ key: "Enter", ctrlKey: true })).toBe("Mod+Enter");
    expect(press({ key: "µ", code: "KeyM", altKey: true })).toBe("Alt+M");
    expect(press({ key: "`", code: "Backquote", ctrlKey: true })).toBe("Mod+Backquote");
    expect(press({ key: "Shift", shiftKey: true })).toBeNull();
  });

  it("leaves a text field its own keys", () => {
    for (const keys of ["Mod+Z", "Mod+C", "N", "Delete", "Shift+ArrowLeft"]) expect(belongsToField(keys)).toBe(true);
    for (const keys of ["Mod+Enter", "Mod+S", "Mod+K"]) expect(belongsToField(keys)).toBe(false);
  });

  it("shows keys as people know them", () => {
    expect(keysText("Mod+Shift+K")).toBe("Ctrl+Shift+K");
  });
});
