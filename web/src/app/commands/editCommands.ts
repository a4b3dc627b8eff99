import * as actions from "@/canvas/actions";
import { activeCanvas } from "@/canvas/handle";
import { removeItems } from "@/graph/edits";
import { currentGraph, type DocumentStore } from "@/graph/store";
import { activeStore, activeTab } from "@/workflows/workspace";
import { getSetting } from "../settings/settings";
import { confirmDialog } from "../ui/ask";
import { openNodeSearch } from "../search/searchState";
import { graphInView, hasSelectedNodes, hasSelection, onStore } from "./onStore";
import type { Command } from "./registry";

/** Text that is marked on the page is what a person wants to copy, not nodes. */
function noMarkedText(): boolean {
  return (window.getSelection()?.toString() ?? "") === "";
}

/** Elsewhere Tab moves the focus, as everywhere. */
function canvasFocused(): boolean {
  return graphInView() && (document.activeElement?.matches("[data-canvas]") ?? false);
}

async function clearWorkflow(store: DocumentStore): Promise<void> {
  const question = { title: "Clear the workflow?", text: `All nodes of “${activeTab()?.name ?? ""}” are removed. Undo brings them back.`, confirm: "Clear", danger: true };
  if (getSetting("workflow.confirmClear") && !(await confirmDialog(question))) return;
  const state = store.getState();
  const graph = currentGraph(state);
  state.edit("Clear workflow", (draft) => {
    const all = { nodes: Object.keys(graph.nodes), groups: graph.groups.map((group) => group.id), reroutes: Object.keys(graph.reroutes) };
    removeItems(draft, state.scope.graphId, all, { reconnect: false });
  });
}

export const editCommands: readonly Command[] = [
  { id: "edit.undo", title: "Undo", group: "Edit", icon: "undo", keys: ["Mod+Z"], repeats: true, when: () => Boolean(activeStore()?.getState().canUndo), run: onStore((store) => store.getState().undo()) },
  { id: "edit.redo", title: "Redo", group: "Edit", icon: "redo", keys: ["Mod+Y", "Mod+Shift+Z"], repeats: true, when: () => Boolean(activeStore()?.getState().canRedo), run: onStore((store) => store.getState().redo()) },
  { id: "edit.cut", title: "Cut", group: "Edit", icon: "cut", keys: ["Mod+X"], when: () => hasSelection() && noMarkedText(), run: onStore(actions.cutSelection) },
  { id: "edit.copy", title: "Copy", group: "Edit", icon: "copy", keys: ["Mod+C"], when: () => hasSelection() && noMarkedText(), run: onStore(actions.copySelection) },
  { id: "edit.paste", title: "Paste", group: "Edit", icon: "clipboard", keys: ["Mod+V"], native: true, when: graphInView, run: onStore((store) => actions.pasteClipboard(store, {})) },
  { id: "edit.pasteWithLinks", title: "Paste with links", group: "Edit", keys: ["Mod+Shift+V"], when: graphInView, run: onStore((store) => actions.pasteClipboard(store, { links: true })) },
  { id: "edit.duplicate", title: "Duplicate", group: "Edit", icon: "duplicate", keys: ["Mod+D"], when: hasSelection, run: onStore(actions.duplicateSelection) },
  { id: "edit.delete", title: "Delete", group: "Edit", icon: "trash", keys: ["Delete", "Backspace"], when: hasSelection, run: onStore((store) => actions.deleteSelection(store, { reconnect: getSetting("nodes.reconnectOnDelete") })) },
  { id: "edit.deleteUnjoined", title: "Delete without joining links", group: "Edit", keys: ["Shift+Delete"], when: hasSelection, run: onStore((store) => actions.deleteSelection(store, { reconnect: false })) },
  { id: "edit.selectAll", title: "Select all", group: "Edit", icon: "scan", keys: ["Mod+A"], when: graphInView, run: onStore((store) => store.getState().selectAll()) },
  { id: "edit.clear", title: "Clear workflow", group: "Edit", when: graphInView, run: onStore(clearWorkflow) },
  { id: "edit.addNode", title: "Add node…", group: "Edit", icon: "plus", keys: ["Mod+Shift+A"], words: "search insert create", when: graphInView, run: () => openNodeSearch({}) },
  { id: "edit.addNodeHere", title: "Add node… (with the canvas focused)", group: "Edit", keys: ["Tab"], hidden: true, when: canvasFocused, run: () => openNodeSearch({}) },
  { id: "node.mute", title: "Mute", group: "Node", icon: "mute", keys: ["Mod+M"], words: "disable off unmute", when: hasSelectedNodes, run: onStore(actions.toggleMute) },
  { id: "node.bypass", title: "Bypass", group: "Node", icon: "bypass", keys: ["Mod+B"], words: "skip", when: hasSelectedNodes, run: onStore(actions.toggleBypass) },
  { id: "node.collapse", title: "Collapse or expand", group: "Node", icon: "minus", keys: ["Alt+C"], when: hasSelectedNodes, run: onStore(actions.toggleCollapse) },
  { id: "node.pin", title: "Pin or unpin", group: "Node", icon: "pin", keys: ["P"], when: hasSelection, run: onStore(actions.togglePin) },
  { id: "node.rename", title: "Rename", group: "Node", icon: "pencil", keys: ["F2"], words: "title", when: () => hasSelection() && activeCanvas() !== null, run: () => activeCanvas()?.renameSelected() },
  { id: "node.group", title: "Group selected nodes", group: "Node", icon: "group", keys: ["Mod+G"], when: hasSelectedNodes, run: onStore(actions.groupSelection) },
  { id: "node.fitGroups", title: "Fit groups to contents", group: "Node", when: graphInView, run: onStore(actions.fitGroups) },
  { id: "node.resetSize", title: "Reset size", group: "Node", icon: "reset", when: hasSelectedNodes, run: onStore(actions.resetSize) },
  { id: "node.snap", title: "Snap to grid", group: "Node", icon: "snap", when: hasSelectedNodes, run: onStore(actions.snapSelection) },
  { id: "node.arrange", title: "Arrange graph", group: "Node", icon: "wand", keys: ["Alt+Shift+A"], words: "layout tidy order", when: graphInView, run: onStore(actions.arrangeGraph) },
  ...(["left", "right", "top", "bottom"] as const).map((side): Command => {
    const icons = { left: "alignLeft", right: "alignRight", top: "alignTop", bottom: "alignBottom" } as const;
    return { id: `node.align.${side}`, title: `Align ${side}`, group: "Node", icon: icons[side], when: hasSelectedNodes, run: onStore((store) => actions.alignSelection(store, side)) };
  }),
  { id: "node.align.centerX", title: "Align centres vertically", group: "Node", icon: "alignCenter", when: hasSelectedNodes, run: onStore((store) => actions.alignSelection(store, "centerX")) },
  { id: "node.align.centerY", title: "Align centres horizontally", group: "Node", icon: "alignMiddle", when: hasSelectedNodes, run: onStore((store) => actions.alignSelection(store, "centerY")) },
  { id: "node.distribute.horizontal", title: "Distribute horizontally", group: "Node", icon: "distributeHorizontal", when: hasSelectedNodes, run: onStore((store) => actions.distributeSelection(store, "horizontal")) },
  { id: "node.distribute.vertical", title: "Distribute vertically", group: "Node", icon: "distributeVertical", when: hasSelectedNodes, run: onStore((store) => actions.distributeSelection(store, "vertical")) },
];
