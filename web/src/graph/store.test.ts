import { describe, expect, it, vi } from "vitest";
import { addNode, moveNodes, removeItems, setValue } from "./edits";
import { HISTORY_LIMIT } from "./history";
import { addParameter, listOutputs, listParameters, moveParameter, removeParameter, renameParameter, addOutput } from "./parameters";
import { saveWorkflow } from "./save";
import { definitions, nodeIn, ourWorkflow, storeWith, textToImage } from "./testing/samples";
import { ROOT } from "./types";

describe("undo", () => {
  it("takes a drag back as one step, and another drag as another", () => {
    vi.useFakeTimers();
    const store = storeWith(textToImage());
    const [id] = Object.keys(store.getState().document.graphs[ROOT]!.nodes) as [string];
    const start = nodeIn(store.getState().document, id).pos;
    const drag = () => {
      for (let step = 0; step < 5; step += 1) store.getState().edit("Move", (draft) => moveNodes(draft, ROOT, [id], [2, 0]), { coalesce: "drag" });
    };
    drag();
    store.getState().endCoalescing();
    drag();
    vi.advanceTimersByTime(5000);
    drag();
    expect(store.getState().history.done).toHaveLength(3);
    store.getState().undo();
    expect(nodeIn(store.getState().document, id).pos[0]).toBe(start[0] + 20);
    store.getState().undo();
    store.getState().undo();
    expect(nodeIn(store.getState().document, id).pos).toEqual(start);
    expect([store.getState().canUndo, store.getState().canRedo]).toEqual([false, "Move"]);
    vi.useRealTimers();
  });

  it("knows when the document differs from its file", () => {
    const store = storeWith(textToImage());
    const id = Object.values(store.getState().document.graphs[ROOT]!.nodes).find((node) => node.type === "KSampler")!.id;
    const set = (value: number) => store.getState().edit("Set", (draft) => setValue(draft, ROOT, id, "steps", value), { coalesce: "steps" });
    expect(store.getState().dirty).toBe(false);
    set(1);
    expect(store.getState().dirty).toBe(true);
    store.getState().undo();
    expect(store.getState().dirty).toBe(false);
    store.getState().redo();
    store.getState().markSaved();
    expect(store.getState().dirty).toBe(false);
    set(2); // Does not join the saved step.
    expect(store.getState().dirty).toBe(true);
    store.getState().undo();
    expect(store.getState().dirty).toBe(false);
    store.getState().undo();
    expect(store.getState().dirty).toBe(true);
    store.getState().redo();
    store.getState().markDirty();
    expect(store.getState().dirty).toBe(true);
  });

  it("keeps a number of steps, and then cannot come back to the file", () => {
    const store = storeWith(textToImage());
    for (let step = 0; step < HISTORY_LIMIT + 5; step += 1) store.getState().edit("Add", (draft) => void addNode(draft, ROOT, definitions, "VAEDecode", [step, 0]));
    while (store.getState().canUndo !== false) store.getState().undo();
    expect(store.getState().dirty).toBe(true);
  });

  it("an edit that changes nothing is no step", () => {
    const store = storeWith(textToImage());
    const { document } = store.getState();
    expect(store.getState().edit("Nothing", (draft) => removeItems(draft, ROOT, { nodes: ["none"] }))).toBe(false);
    expect(store.getState().document).toBe(document);
    expect(store.getState().canUndo).toBe(false);
  });

  it("an edit that fails leaves everything as it was", () => {
    const store = storeWith(textToImage());
    const { document } = store.getState();
    expect(() =>
      store.getState().edit("Fails", (draft) => {
        addNode(draft, ROOT, definitions, "VAEDecode", [0, 0]);
        throw new Error("half way");
      }),
    ).toThrow("half way");
    expect(store.getState().document).toBe(document);
  });
});

describe("selection", () => {
  it("adds, removes, toggles, and forgets what is gone", () => {
    const store = storeWith(textToImage());
    const [a, b, c] = Object.keys(store.getState().document.graphs[ROOT]!.nodes) as [string, string, string];
    const selected = () => [...store.getState().selection.nodes].sort();
    store.getState().select({ nodes: [a, b] });
    const { selection } = store.getState();
    store.getState().select({ nodes: [b, a] });
    expect(store.getState().selection).toBe(selection);
    store.getState().select({ nodes: [c] }, "add");
    store.getState().select({ nodes: [a] }, "toggle");
    expect(selected()).toEqual([b, c].sort());
    store.getState().select({ nodes: [c] }, "remove");
    store.getState().select({ nodes: [a] }, "toggle");
    expect(selected()).toEqual([a, b].sort());
    store.getState().edit("Delete", (draft) => removeItems(draft, ROOT, { nodes: [a] }));
    expect(selected()).toEqual([b]);
    store.getState().selectAll();
    expect(selected()).toHaveLength(Object.keys(store.getState().document.graphs[ROOT]!.nodes).length);
    store.getState().clearSelection();
    expect(selected()).toEqual([]);
  });
});

describe("what a workflow exposes", () => {
  it("is read from our files, changed, and saved in its place", () => {
    const store = storeWith(textToImage());
    const before = listParameters(store.getState().document);
    expect(before[0]).toMatchObject({ name: "prompt", input: "text" });
    store.getState().edit("Expose", (draft) => {
      expect(addParameter(draft, { name: "prompt", node: "99", input: "text" })).toBe("prompt_2");
      expect(addParameter(draft, { ...before[0]!, name: "again" })).toBe("prompt");
      expect(renameParameter(draft, "prompt_2", "prompt")).toBe(false);
      expect(renameParameter(draft, "prompt_2", "other")).toBe(true);
      moveParameter(draft, "other", 0);
      removeParameter(draft, "negative");
      addOutput(draft, { name: "picture", node: "7" });
    });
    const names = listParameters(store.getState().document).map((one) => one.name);
    expect(names.slice(0, 2)).toEqual(["other", "prompt"]);
    expect(names).not.toContain("negative");
    expect(listOutputs(store.getState().document)).toEqual([{ name: "picture", node: "7" }]);
    const extra = saveWorkflow(store.getState().document)["extra"] as { safelight: { parameters: unknown[]; outputs: unknown[] } };
    expect(extra.safelight.parameters).toHaveLength(names.length);
    store.getState().undo();
    expect(saveWorkflow(store.getState().document)).toStrictEqual(ourWorkflow("text_to_image"));
  });
});

it("the view is remembered without a step or an unsaved mark", () => {
  const store = storeWith(textToImage());
  store.getState().setView({ scale: 0.5, offset: [3, 4] });
  expect(store.getState().dirty).toBe(false);
  expect((saveWorkflow(store.getState().document)["extra"] as { ds: unknown }).ds).toEqual({ scale: 0.5, offset: [3, 4] });
});
