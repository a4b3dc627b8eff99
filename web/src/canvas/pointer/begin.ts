import { getSetting } from "@/app/settings/settings";
import { bringToFront } from "@/graph/edits";
import type { NodeId } from "@/graph/types";
import type { CanvasParts } from "../context";
import { groupUnder, linkUnder, nodeUnder, rerouteUnder, slotType, socketUnder } from "../hit";
import type { SceneNode } from "../scene";
import type { SocketRef } from "../types";
import { boxGesture, lassoGesture } from "./boxGesture";
import type { Gesture, Press } from "./gesture";
import { linkGesture } from "./linkGesture";
import { moveGesture } from "./moveGesture";
import { panGesture } from "./panGesture";
import { resizeGesture, resizeGroupGesture } from "./resizeGesture";

/** `pan`: left to React Flow. `none`: the page's own business, such as a text field. */
export type Begun = Gesture | "pan" | "none";

const FIELDS = "input, textarea, select, button, a, video, audio, [contenteditable], .nodrag, [role=spinbutton], [role=switch], [role=slider]";

/** Decides what a press on the canvas begins. */
export function begin(press: Press, element: Element, spaceHeld: boolean): Begun {
  const { event, parts } = press;
  if (event.button === 1 || spaceHeld) return "pan";
  if (event.button !== 0) return "none";
  if (element.closest("[data-overlay]")) return "none";
  const socket = element.closest<HTMLElement>("[data-socket]");
  if (socket?.dataset["socket"] && !parts.ui.getState().locked) return onSocket(press, socket.dataset["socket"]);
  const mounted = element.closest<HTMLElement>("[data-node]")?.dataset["node"];
  if (mounted !== undefined) return onMountedNode(press, mounted, element);
  return parts.ui.getState().overview ? onOverview(press) : onPane(press);
}

function onSocket(press: Press, key: string): Begun {
  const at = key.lastIndexOf(":");
  const [id, side, slot] = [key.slice(0, at), key[at + 1] === "o" ? "output" : "input", Number(key.slice(at + 2))] as const;
  const node = press.parts.scene.get().byId.get(id);
  return node ? fromSocket(press, { node: id, side, slot, type: slotType(node, side, slot) }) : "none";
}

/** From an output, or a free input, a new link; from a linked input, the link that is there. */
function fromSocket(press: Press, ref: SocketRef): Gesture {
  const { scene } = press.parts;
  const { graph } = scene.get();
  const id = ref.side === "input" ? graph.nodes[ref.node]?.inputs[ref.slot]?.link : null;
  const link = id == null ? undefined : graph.links[id];
  if (link === undefined) return linkGesture(press, ref, null);
  const from = scene.get().byId.get(link.from);
  const type = from ? slotType(from, "output", link.fromSlot) : link.type;
  return linkGesture(press, { node: link.from, side: "output", slot: link.fromSlot, type }, link.id);
}

function onMountedNode(press: Press, id: NodeId, element: Element): Begun {
  const { parts } = press;
  const field = element.closest(FIELDS) !== null;
  if (!field && element.closest("[data-resize]") && !parts.ui.getState().locked) {
    selectForPress(press, id);
    return resizeGesture(press, id);
  }
  if (field) {
    // Work on a widget marks its node too, but leaves a larger selection alone.
    if (!parts.store.getState().selection.nodes.has(id) && !event(press).multi) parts.store.getState().select({ nodes: [id] });
    return "none";
  }
  return onNode(press, id);
}

function event({ event: { shiftKey, ctrlKey, metaKey } }: Press) {
  return { multi: shiftKey || ctrlKey || metaKey };
}

function onNode(press: Press, id: NodeId): Begun {
  const { parts } = press;
  const { multi } = event(press);
  const before = parts.store.getState().selection.nodes;
  const was = before.has(id);
  if (!multi || !was) selectForPress(press, id);
  if (parts.ui.getState().locked) return "none";
  // A click on one of several selected nodes takes that one alone; with Ctrl it leaves the selection.
  return moveGesture(press, () => {
    if (multi && was) parts.store.getState().select({ nodes: [id] }, "remove");
    else if (!multi && was) parts.store.getState().select({ nodes: [id] });
    if (!multi) raise(parts, id);
  });
}

/** A clicked node comes to the front, if it lies under another. */
function raise({ store, scene }: CanvasParts, id: NodeId): void {
  const { nodes, graphId } = scene.get();
  const at = nodes.findIndex((node) => node.id === id);
  const node = nodes[at];
  if (node === undefined) return;
  const covered = nodes.slice(at + 1).some((other) => other.x < node.x + node.width && node.x < other.x + other.width && other.y < node.y + node.height && node.y < other.y + other.height);
  if (covered) store.getState().edit("Bring to front", (draft) => bringToFront(draft, graphId, [id]));
}

function selectForPress({ parts: { store }, event: { shiftKey, ctrlKey, metaKey } }: Press, id: NodeId): void {
  const { selection, select } = store.getState();
  if (shiftKey || ctrlKey || metaKey) select({ nodes: [id] }, "add");
  else if (!selection.nodes.has(id)) select({ nodes: [id] });
}

function onOverview(press: Press): Begun {
  const node: SceneNode | null = nodeUnder(press.parts.scene.get(), press.start);
  return node ? onNode(press, node.id) : onPane(press);
}

/** On the bare canvas: borders of a subgraph, reroutes, links, groups, and then the canvas itself. */
function onPane(press: Press): Begun {
  const { parts, event: pointer } = press;
  const { store, ui } = parts;
  const locked = ui.getState().locked;
  const boxed = pointer.ctrlKey || pointer.metaKey;
  if (!boxed && !locked) {
    const item = onSide(press) ?? onReroute(press) ?? onLink(press) ?? onGroup(press);
    if (item !== null) return item;
  }
  const { tool } = ui.getState();
  const clear = (): void => {
    if (!pointer.shiftKey && !boxed) store.getState().clearSelection();
  };
  if ((pointer.altKey && pointer.shiftKey) || tool === "lasso") return lassoGesture(press);
  const selects = tool === "select" || getSetting("canvas.leftDrag") === "select";
  if (boxed || pointer.shiftKey || (selects && pointer.pointerType !== "touch")) return boxGesture(press, clear);
  return "pan";
}

function onSide(press: Press): Begun | null {
  const scene = press.parts.scene.get();
  if (scene.sides.length === 0) return null;
  for (const side of ["output", "input"] as const) {
    const ref = socketUnder(scene, press.start, side, 12);
    if (ref !== null && !scene.byId.has(ref.node)) return linkGesture(press, ref, null);
  }
  return null;
}

function onReroute(press: Press): Begun | null {
  const { store, scene } = press.parts;
  const reroute = rerouteUnder(scene.get(), press.start, 9 / Math.min(press.zoom, 1));
  if (reroute === null) return null;
  const { selection, select } = store.getState();
  if (event(press).multi) select({ reroutes: [reroute.id] }, "toggle");
  else if (!selection.reroutes.has(reroute.id)) select({ reroutes: [reroute.id] });
  return moveGesture(press);
}

function onLink(press: Press): Begun | null {
  const { store, ui, scene } = press.parts;
  if (!getSetting("links.visible")) return null;
  const link = linkUnder(scene.get(), press.start, 6 / press.zoom, getSetting("links.style"));
  if (link === null) return null;
  const { x, y } = press.client;
  const click = (): void => {
    store.getState().select({ links: [link.id] }, event(press).multi ? "toggle" : "replace");
    ui.setState({ inspect: { link: link.id, client: { x, y }, pinned: true } });
  };
  // Near its input a link can be pulled off; elsewhere a drag moves the view, as it does beside the link.
  const end = link.points.at(-1) ?? press.start;
  const near = Math.hypot(end[0] - press.start[0], end[1] - press.start[1]) * press.zoom < 36;
  return { ...(near ? endGesture(press, link.id) : panGesture(press)), click };
}

/** Takes a link off its input. */
function endGesture(press: Press, id: string): Gesture {
  const { scene } = press.parts;
  const { graph, byId } = scene.get();
  const link = graph.links[id];
  if (link === undefined) return linkGesture(press, { node: "", side: "output", slot: 0, type: "*" }, null);
  const from = byId.get(link.from);
  const type = from ? slotType(from, "output", link.fromSlot) : link.type;
  return linkGesture(press, { node: link.from, side: "output", slot: link.fromSlot, type }, id);
}

function onGroup(press: Press): Begun | null {
  const { store, scene } = press.parts;
  const hit = groupUnder(scene.get(), press.start);
  if (hit === null || hit.part === "body") return null;
  const { id, pinned } = hit.group.record;
  const { selection, select } = store.getState();
  if (event(press).multi) select({ groups: [id] }, "toggle");
  else if (!selection.groups.has(id)) select({ groups: [id] });
  if (pinned) return "none";
  return hit.part === "corner" ? resizeGroupGesture(press, id, hit.group.box) : moveGesture(press);
}
