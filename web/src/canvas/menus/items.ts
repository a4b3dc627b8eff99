import type { MenuItem } from "@/app/ui";
import { addGroup, addNode, addReroute, disconnect, removeReroute } from "@/graph/edits";
import type { GroupId, LinkId, NodeId, Point, RerouteId } from "@/graph/types";
import { COLOR_NAMES, COLORS, setColor } from "../actions";
import type { CanvasParts } from "../context";
import type { ClientPoint } from "../types";

export function colorItems({ store }: CanvasParts): MenuItem {
  return {
    label: "Color",
    icon: "palette",
    items: [
      { label: "None", onSelect: () => setColor(store, null) },
      ...COLOR_NAMES.map((name) => ({ label: name[0]?.toUpperCase() + name.slice(1), swatch: COLORS[name].group, onSelect: () => setColor(store, name) })),
    ],
  };
}

export function linkItems({ store, ui, scene, callbacks }: CanvasParts, id: LinkId, at: Point, client: ClientPoint): MenuItem[] {
  const { graphId, graph } = scene.get();
  const link = graph.links[id];
  return [
    { heading: link ? `Link · ${link.type}` : "Link" },
    { label: "Inspect value", icon: "eye", onSelect: () => ui.setState({ inspect: { link: id, client, pinned: true } }) },
    { label: "Add reroute", icon: "plus", onSelect: () => store.getState().edit("Add reroute", (draft) => void addReroute(draft, graphId, id, at)) },
    {
      label: "Add node…",
      icon: "search",
      disabled: !callbacks.current.onOpenSearch || !link,
      onSelect: () => link && callbacks.current.onOpenSearch?.({ at, client, link: { node: link.from, side: "output", slot: link.fromSlot, type: link.type } }),
    },
    "separator",
    { label: "Delete link", icon: "trash", danger: true, onSelect: () => store.getState().edit("Delete link", (draft) => disconnect(draft, graphId, id)) },
  ];
}

export function rerouteItems({ store, scene }: CanvasParts, id: RerouteId): MenuItem[] {
  return [
    { heading: "Reroute" },
    { label: "Remove reroute", icon: "trash", onSelect: () => store.getState().edit("Remove reroute", (draft) => removeReroute(draft, scene.get().graphId, id)) },
  ];
}

export function groupItems(parts: CanvasParts, id: GroupId, at: Point, client: ClientPoint): MenuItem[] {
  const { store, ui } = parts;
  if (!store.getState().selection.groups.has(id)) store.getState().select({ groups: [id] });
  return [
    { heading: "Group" },
    { label: "Rename", icon: "pencil", onSelect: () => ui.setState({ editingGroup: id }) },
    { command: "node.fitGroups" },
    { command: "node.pin" },
    colorItems(parts),
    "separator",
    { command: "edit.deleteUnjoined", label: "Delete group, keep nodes", danger: true },
    "separator",
    ...emptyItems(parts, at, client),
  ];
}

export function emptyItems(parts: CanvasParts, at: Point, client: ClientPoint, group?: GroupId): MenuItem[] {
  const { store, scene, callbacks } = parts;
  const { graphId } = scene.get();
  const add = (type: string) => () => {
    const made: NodeId[] = [];
    const { edit, definitions, select } = store.getState();
    edit("Add node", (draft) => void made.push(addNode(draft, graphId, definitions, type, at)));
    select({ nodes: made });
  };
  const addBox = (): void => {
    const box = { x: at[0], y: at[1], width: 420, height: 300 };
    store.getState().edit("Add group", (draft) => void addGroup(draft, graphId, box));
  };
  const inside = store.getState().scope.path.length > 0;
  return [
    { label: "Add node…", icon: "plus", keys: "Tab", onSelect: () => callbacks.current.onOpenSearch?.({ at, client }) },
    { label: "Add group", icon: "group", onSelect: addBox },
    { label: "Add note", icon: "note", onSelect: add("MarkdownNote") },
    { label: "Add reroute node", icon: "spline", onSelect: add("Reroute") },
    ...(group === undefined ? [] : [{ label: "Group…", items: [{ label: "Select group", onSelect: () => store.getState().select({ groups: [group] }) }] }]),
    "separator",
    { command: "edit.paste" },
    { command: "edit.pasteWithLinks" },
    { command: "edit.selectAll" },
    "separator",
    { command: "canvas.fitAll" },
    { command: "node.arrange" },
    { command: "canvas.toggleSnap" },
    ...(inside ? (["separator", { command: "subgraph.leave" }] as const) : []),
  ];
}
