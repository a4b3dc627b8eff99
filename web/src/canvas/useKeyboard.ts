import { type RefObject, useEffect } from "react";
import { getSetting } from "@/app/settings/settings";
import type { NodeId } from "@/graph/types";
import { moveSelection } from "./actions";
import { type CanvasParts, useCanvas } from "./context";
import { openCanvasMenu } from "./openMenu";
import { readingOrder } from "./readingOrder";

const ARROWS: Readonly<Record<string, readonly [number, number]>> = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** Keys while the canvas or one of its nodes has the focus. Other keys are commands of the shell. */
export function useKeyboard(root: RefObject<HTMLElement | null>): void {
  const parts = useCanvas();
  useEffect(() => {
    const element = root.current;
    if (element === null) return undefined;
    const handler = (event: KeyboardEvent): void => {
      if (event.defaultPrevented || !handleKey(element, parts, event)) return;
      event.preventDefault();
      event.stopPropagation();
    };
    element.addEventListener("keydown", handler);
    return () => element.removeEventListener("keydown", handler);
  }, [root, parts]);
}

/** True if the key was ours. */
function handleKey(root: HTMLElement, parts: CanvasParts, event: KeyboardEvent): boolean {
  const target = event.target as HTMLElement;
  const node = target.closest<HTMLElement>("[data-node]");
  if (target === root) return onRoot(root, parts, event);
  if (node === null) return false;
  const id = node.dataset["node"] ?? "";
  if (target === node) return onNode(root, parts, event, node, id);
  if (event.key === "Escape") {
    node.focus();
    return true;
  }
  return false;
}

function onRoot(root: HTMLElement, parts: CanvasParts, event: KeyboardEvent): boolean {
  const { store, ui } = parts;
  if (event.ctrlKey || event.metaKey || event.altKey) return false;
  if (event.key === "Escape") {
    if (ui.getState().inspect !== null) ui.setState({ inspect: null });
    else if (store.getState().selection.nodes.size + store.getState().selection.links.size + store.getState().selection.groups.size > 0) store.getState().clearSelection();
    else return false;
    return true;
  }
  const arrow = ARROWS[event.key];
  const { selection } = store.getState();
  if (arrow && selection.nodes.size + selection.groups.size + selection.reroutes.size > 0) return nudge(parts, arrow, event.shiftKey);
  if (event.key === "Enter" || arrow) {
    focusNode(root, parts, [...selection.nodes][0] ?? readingOrder(parts.scene.get())[0]);
    return true;
  }
  return false;
}

function nudge({ store }: CanvasParts, [dx, dy]: readonly [number, number], far: boolean): boolean {
  const step = getSetting("canvas.gridSize") * (far ? 10 : 1);
  moveSelection(store, dx * step, dy * step);
  return true;
}

function onNode(root: HTMLElement, parts: CanvasParts, event: KeyboardEvent, node: HTMLElement, id: NodeId): boolean {
  const { store, ui } = parts;
  if (event.ctrlKey || event.metaKey || (event.altKey && !ARROWS[event.key])) return false;
  const arrow = ARROWS[event.key];
  if (arrow) {
    if (!store.getState().selection.nodes.has(id)) store.getState().select({ nodes: [id] });
    return nudge(parts, arrow, event.shiftKey);
  }
  switch (event.key) {
    case "Tab":
      return step(root, parts, id, event.shiftKey ? -1 : 1);
    case "Enter":
      return enterNode(parts, node, id);
    case " ":
      store.getState().select({ nodes: [id] }, "toggle");
      return true;
    case "l":
    case "L":
      ui.setState({ choosing: { node: id } });
      return true;
    case "Escape":
      root.focus();
      return true;
    case "ContextMenu":
      return menuOf(parts, node);
    case "F10":
      return event.shiftKey && menuOf(parts, node);
    default:
      return false;
  }
}

function menuOf(parts: CanvasParts, node: HTMLElement): boolean {
  const box = node.getBoundingClientRect();
  openCanvasMenu(parts, { x: box.left + 24, y: box.top + 24 }, node);
  return true;
}

/** Into the first widget; a node without any that has a graph inside is entered. */
function enterNode({ store }: CanvasParts, node: HTMLElement, id: NodeId): boolean {
  const first = node.querySelector<HTMLElement>('[data-widget] :is(input, textarea, button, [tabindex]):not([data-socket], [tabindex="-1"], :disabled)');
  if (first) first.focus();
  else store.getState().enter(id);
  return true;
}

/** To the next node in reading order; after the last one the focus goes on to what follows the canvas. */
function step(root: HTMLElement, parts: CanvasParts, id: NodeId, by: 1 | -1): boolean {
  const order = readingOrder(parts.scene.get());
  const next = order[order.indexOf(id) + by];
  if (next === undefined) return false;
  focusNode(root, parts, next);
  return true;
}

/** Brings a node into view if it is not, then gives it the focus and selects it. */
export function focusNode(root: HTMLElement, { store, scene, handle }: CanvasParts, id: NodeId | undefined): void {
  const node = id === undefined ? undefined : scene.get().byId.get(id);
  if (node === undefined) return;
  store.getState().select({ nodes: [node.id] });
  const [left, right] = [handle.toClient([node.x, node.y]), handle.toClient([node.x + node.width, node.y + node.height])];
  const box = root.getBoundingClientRect();
  const outside = left.x < box.left || left.y < box.top || right.x > box.right || right.y > box.bottom;
  const mounted = root.querySelector<HTMLElement>(`[data-node="${CSS.escape(node.id)}"]`);
  if (outside || mounted === null) handle.reveal(node.id);
  else mounted.focus({ preventScroll: true });
}
