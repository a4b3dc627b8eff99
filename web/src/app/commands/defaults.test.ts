// @vitest-environment happy-dom
import { describe, expect, it } from "vitest";
import { keysText, normalizeKeys } from "./keys";
import { allCommands, keysFor } from "./registry";
import { registerAllCommands } from ".";
import "@/canvas/commands";

describe("the standard key bindings", () => {
  registerAllCommands();

  it("give no combination to two commands", () => {
    const owners = new Map<string, string[]>();
    for (const command of allCommands()) for (const keys of keysFor(command)) owners.set(normalizeKeys(keys), [...(owners.get(normalizeKeys(keys)) ?? []), command.id]);
    expect([...owners].filter(([, ids]) => ids.length > 1)).toEqual([]);
  });

  it("have the keys that people know from other editors of the field", () => {
    const known = { "Mod+Enter": "run.run", "Mod+Shift+Enter": "run.front", "Mod+Alt+Enter": "run.interrupt", "Mod+S": "workflow.save", "Mod+O": "workflow.open", "Mod+G": "node.group", "Mod+B": "node.bypass", "Mod+M": "node.mute", "Alt+C": "node.collapse", P: "node.pin", ".": "canvas.fit", H: "canvas.lock", V: "canvas.unlock", R: "app.refresh", Q: "panel.queue", W: "panel.workflows", N: "panel.nodes", M: "panel.models", F: "view.focusMode", "Mod+,": "app.settings", "Mod+Shift+E": "subgraph.create", Escape: "subgraph.leave", "Mod+Backquote": "panel.logs", "Mod+Shift+K": "panel.shortcuts" };
    for (const [keys, id] of Object.entries(known)) {
      const command = allCommands().find((one) => one.id === id);
      expect(command && keysFor(command).map(normalizeKeys), `${id} on ${keysText(keys)}`).toContain(normalizeKeys(keys));
    }
  });
});
