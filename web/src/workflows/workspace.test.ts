import { beforeEach, describe, expect, it } from "vitest";
import { emptyDocument } from "@/graph/load";
import { VIRTUAL } from "@/graph/definitions";
import { addNode } from "@/graph/edits";
import { ROOT } from "@/graph/types";
import { createDocumentStore } from "@/graph/store";
import { nameProblem } from "./names";
import { activeTab, addTab, freeName, isDirty, moveTab, removeTab, stepTab, useWorkspace, type Tab } from "./workspace";

function tab(id: string, more: Partial<Tab> = {}): Tab {
  return { id, name: id, path: null, unsaved: false, store: createDocumentStore({ document: emptyDocument(), definitions: VIRTUAL }), ...more };
}

const ids = () => useWorkspace.getState().tabs.map(({ id }) => id);

describe("the open workflows", () => {
  beforeEach(() => useWorkspace.setState({ tabs: [], activeId: "" }));

  it("stand after the one in view, and the neighbour follows a closed one", () => {
    for (const id of ["a", "b"]) addTab(tab(id));
    stepTab(1);
    expect(activeTab()?.id).toBe("a");
    addTab(tab("c"));
    expect(ids()).toEqual(["a", "c", "b"]);
    removeTab("c");
    expect(activeTab()?.id).toBe("b");
    moveTab("b", 0);
    expect(ids()).toEqual(["b", "a"]);
  });

  it("take the place of an untouched blank one only", () => {
    addTab(tab("blank"));
    addTab(tab("opened"), { replaceBlank: true });
    expect(ids()).toEqual(["opened"]);
    const touched = tab("touched");
    touched.store.getState().edit("Add", (draft) => void addNode(draft, ROOT, VIRTUAL, "Note", [0, 0]));
    addTab(touched);
    expect(isDirty(touched)).toBe(true);
    addTab(tab("next"), { replaceBlank: true });
    expect(ids()).toEqual(["opened", "touched", "next"]);
  });

  it("get names of their own", () => {
    addTab(tab("Untitled"));
    expect(freeName("Untitled")).toBe("Untitled 2");
    expect(freeName("Other")).toBe("Other");
  });
});

describe("names of files", () => {
  it("are refused when a file system could not keep them", () => {
    for (const name of ["a:b", "a/../b", ".hidden", "a//b", "x".repeat(200), "tab\tname", "end "]) expect(nameProblem(name), name).not.toBeNull();
    for (const name of ["portrait", "portraits/first try", "Übung 3"]) expect(nameProblem(name), name).toBeNull();
  });
});
