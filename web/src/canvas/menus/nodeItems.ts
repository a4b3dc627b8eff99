import type { MenuItem } from "@/app/ui";
import { addOutput, listOutputs, promptId, removeOutput, usableName } from "@/graph/parameters";
import { MODE_BYPASSED, MODE_MUTED, type NodeId } from "@/graph/types";
import { isInstance } from "../actions";
import type { CanvasParts } from "../context";
import { colorItems } from "./items";

export function nodeItems(parts: CanvasParts, id: NodeId): MenuItem[] {
  const { store, scene, ui, callbacks } = parts;
  const node = scene.get().byId.get(id);
  if (node === undefined) return [];
  const many = store.getState().selection.nodes.size > 1;
  const { record, definition } = node;
  const title = record.title ?? definition?.title ?? record.type;
  return [
    { heading: many ? `${store.getState().selection.nodes.size} nodes` : title },
    ...(many ? [] : [{ label: "Show info", icon: "info", disabled: !callbacks.current.onShowInfo, onSelect: () => callbacks.current.onShowInfo?.(id) } as const]),
    ...(definition?.outputNode ? runItems(parts, id) : []),
    ...(isInstance(store, id) ? ([{ command: "subgraph.enter" }, { command: "subgraph.unpack" }, { command: "subgraph.publish" }] as const) : []),
    "separator",
    { label: "Rename", icon: "pencil", keys: "F2", onSelect: () => ui.setState({ editingTitle: id }) },
    { command: "node.collapse", label: record.collapsed ? "Expand" : "Collapse" },
    { command: "node.pin", label: record.pinned ? "Unpin" : "Pin" },
    { command: "node.mute", checked: record.mode === MODE_MUTED },
    { command: "node.bypass", checked: record.mode === MODE_BYPASSED },
    colorItems(parts),
    { command: "node.resetSize" },
    ...(many ? arrangeItems() : []),
    "separator",
    { command: "edit.copy" },
    { command: "edit.duplicate" },
    { label: "Link from keyboard…", icon: "link", keys: "L", onSelect: () => ui.setState({ choosing: { node: id } }) },
    { command: "node.group" },
    { command: "subgraph.create" },
    ...outputItem(parts, id, title, Boolean(definition && definition.outputs.length + Number(definition.outputNode) > 0)),
    "separator",
    { command: "edit.delete", danger: true },
  ];
}

function runItems({ store, callbacks }: CanvasParts, id: NodeId): MenuItem[] {
  const { onRunNodes } = callbacks.current;
  if (onRunNodes === undefined) return [];
  return [{ label: "Run to this node", icon: "play", onSelect: () => onRunNodes([promptId(store.getState().scope.path, id)]) }];
}

function arrangeItems(): MenuItem[] {
  const sides = ["left", "right", "top", "bottom", "centerX", "centerY"].map((side) => ({ command: `node.align.${side}` }));
  return [{ label: "Align and distribute", icon: "alignLeft", items: [...sides, "separator", { command: "node.distribute.horizontal" }, { command: "node.distribute.vertical" }, { command: "node.arrange" }, { command: "node.snap" }] }];
}

/** Marks the node's result as one that counts, for the form view and for callers without the editor. */
function outputItem({ store }: CanvasParts, id: NodeId, title: string, possible: boolean): MenuItem[] {
  const { document, scope, edit } = store.getState();
  const node = promptId(scope.path, id);
  const mark = listOutputs(document).find((one) => one.node === node);
  if (!possible) return [];
  const toggle = (): void => {
    edit(mark ? "Hide result" : "Expose result", (draft) => {
      if (mark) removeOutput(draft, mark.name);
      else addOutput(draft, { name: usableName(title), node });
    });
  };
  return [{ label: "Expose as result", checked: mark !== undefined, onSelect: toggle }];
}
