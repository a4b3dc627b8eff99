import { type RefObject, useEffect } from "react";
import { useReactFlow } from "@xyflow/react";
import { addReroute } from "@/graph/edits";
import { getSetting } from "@/app/settings/settings";
import { type CanvasParts, useCanvas } from "./context";
import { groupUnder, linkUnder, nodeUnder } from "./hit";
import { openCanvasMenu } from "./openMenu";
import { begin } from "./pointer/begin";
import { type Gesture, type Press, SLACK } from "./pointer/gesture";
import { duration, MAX_ZOOM, MIN_ZOOM, viewOf } from "./viewport";
import { edgePan } from "./pointer/edgePan";

/** All pointer work on the canvas: one gesture at a time, from press to release. */
export function usePointer(root: RefObject<HTMLElement | null>): void {
  const parts = useCanvas();
  const flow = useReactFlow();
  useEffect(() => {
    const element = root.current;
    if (element === null) return undefined;
    return listen(element, parts, {
      zoom: () => flow.getZoom(),
      zoomAt: (factor, x, y) => {
        const view = flow.getViewport();
        const zoom = Math.min(MAX_ZOOM, Math.max(MIN_ZOOM, view.zoom * factor));
        void flow.setViewport({ zoom, x: x - ((x - view.x) / view.zoom) * zoom, y: y - ((y - view.y) / view.zoom) * zoom });
      },
      zoomTo: (node) => void flow.setViewport(viewOf(node, element.clientWidth, element.clientHeight, 1), { duration: duration() }),
    });
  }, [root, parts, flow]);
}

interface Flow {
  readonly zoom: () => number;
  /** Zooms about a place of the canvas, in its pixels. */
  readonly zoomAt: (factor: number, x: number, y: number) => void;
  readonly zoomTo: (box: { x: number; y: number; width: number; height: number }) => void;
}

function listen(root: HTMLElement, parts: CanvasParts, flow: Flow): () => void {
  const { ui, store, scene, handle, callbacks } = parts;
  let running: { press: Press; gesture: Gesture; started: boolean; id: number } | null = null;
  let claimed = false;
  let spaceHeld = false;
  let hoverTimer = 0;
  const edge = edgePan(root, handle);

  function finish(): void {
    running = null;
    edge.stop();
    window.removeEventListener("pointermove", onMove);
    window.removeEventListener("pointerup", onUp);
    window.removeEventListener("pointercancel", onCancel);
  }

  function onDown(event: PointerEvent): void {
    const element = event.target as Element;
    claimed = false;
    // A press gives the canvas the focus too; only the keyboard needs to see it.
    root.dataset["pointed"] = "";
    window.clearTimeout(hoverTimer);
    if (!element.closest("[data-overlay]") && ui.getState().inspect !== null) ui.setState({ inspect: null });
    if (running !== null) return;
    const client = { x: event.clientX, y: event.clientY };
    const press: Press = { parts, event, client, start: handle.toGraph(client), zoom: flow.zoom() };
    const begun = begin(press, element, spaceHeld);
    if (begun === "pan") return watchClick(event);
    if (begun === "none") return;
    claimed = true;
    if (!element.closest("[data-node]")) root.focus({ preventScroll: true });
    running = { press, gesture: begun, started: false, id: event.pointerId };
    window.addEventListener("pointermove", onMove);
    window.addEventListener("pointerup", onUp);
    window.addEventListener("pointercancel", onCancel);
  }

  /** A press on the bare canvas that does not move clears the selection. */
  function watchClick(down: PointerEvent): void {
    if (down.button !== 0) return;
    root.focus({ preventScroll: true });
    const up = (event: PointerEvent): void => {
      window.removeEventListener("pointerup", up);
      if (Math.hypot(event.clientX - down.clientX, event.clientY - down.clientY) <= SLACK) store.getState().clearSelection();
    };
    window.addEventListener("pointerup", up);
  }

  function onMove(event: PointerEvent): void {
    if (running === null || event.pointerId !== running.id) return;
    const { press, gesture } = running;
    const far = Math.hypot(event.clientX - press.client.x, event.clientY - press.client.y) > SLACK;
    if (!running.started && !far) return;
    running.started = true;
    const move = (): void => gesture.move(handle.toGraph({ x: event.clientX, y: event.clientY }), event);
    move();
    if (gesture.still !== true) edge.at(event.clientX, event.clientY, move);
  }

  function onUp(event: PointerEvent): void {
    if (running === null || event.pointerId !== running.id) return;
    const { gesture, started } = running;
    finish();
    if (started) gesture.end(handle.toGraph({ x: event.clientX, y: event.clientY }), event);
    else gesture.click?.(event);
  }

  function onCancel(): void {
    const gesture = running?.started ? running.gesture : null;
    finish();
    gesture?.cancel();
  }

  /** What a gesture of ours took must not reach React Flow's own pan. */
  function onMouseDown(event: Event): void {
    if (claimed) event.stopPropagation();
    // A double click on the bare canvas would mark the nearest text of the page.
    if (event instanceof MouseEvent && event.detail > 1 && !(event.target as Element).closest("[data-node], [data-overlay]")) event.preventDefault();
  }

  function onHover(event: PointerEvent): void {
    if (running !== null || event.buttons !== 0) return;
    const bare = (event.target as Element).closest("[data-node], [data-overlay]") === null;
    const client = { x: event.clientX, y: event.clientY };
    const link = bare && !ui.getState().overview && getSetting("links.visible") ? linkUnder(scene.get(), handle.toGraph(client), 6 / flow.zoom(), getSetting("links.style")) : null;
    root.style.cursor = link ? "pointer" : cursorAt(client, bare);
    if (link?.id === (ui.getState().hoverLink ?? undefined)) return;
    window.clearTimeout(hoverTimer);
    ui.setState({ hoverLink: link?.id ?? null });
    const open = ui.getState().inspect;
    if (open !== null && !open.pinned && bare) ui.setState({ inspect: null });
    if (link) hoverTimer = window.setTimeout(() => inspectHovered(link.id, client), 450);
  }

  function inspectHovered(link: string, client: { x: number; y: number }): void {
    if (ui.getState().hoverLink === link && !ui.getState().inspect?.pinned) ui.setState({ inspect: { link, client, pinned: false } });
  }

  function cursorAt(client: { x: number; y: number }, bare: boolean): string {
    if (!bare) return "";
    const hit = groupUnder(scene.get(), handle.toGraph(client));
    if (hit?.part === "corner") return "nwse-resize";
    return ui.getState().overview && nodeUnder(scene.get(), handle.toGraph(client)) ? "default" : "";
  }

  function onDoubleClick(event: MouseEvent): void {
    const element = event.target as Element;
    if (element.closest("[data-node], [data-overlay]")) return;
    const client = { x: event.clientX, y: event.clientY };
    const at = handle.toGraph(client);
    const node = ui.getState().overview ? nodeUnder(scene.get(), at) : null;
    const group = groupUnder(scene.get(), at);
    if (node !== null) flow.zoomTo(node);
    else if (group?.part === "title") ui.setState({ editingGroup: group.group.record.id });
    else callbacks.current.onOpenSearch?.({ at, client });
  }

  function onMenu(event: MouseEvent): void {
    const element = event.target as Element;
    if (element.closest("[data-overlay], input:not([readonly]), textarea:focus")) return;
    event.preventDefault();
    openCanvasMenu(parts, { x: event.clientX, y: event.clientY }, element);
  }

  /** Middle click on a link sets a reroute there. */
  function onAuxClick(event: MouseEvent): void {
    if (event.button !== 1) return;
    const at = handle.toGraph({ x: event.clientX, y: event.clientY });
    const link = linkUnder(scene.get(), at, 8 / flow.zoom(), getSetting("links.style"));
    if (link) store.getState().edit("Add reroute", (draft) => void addReroute(draft, scene.get().graphId, link.id, at));
  }

  function onKey(event: KeyboardEvent): void {
    if (event.key === "Tab") delete root.dataset["pointed"];
    if (event.key === " ") spaceHeld = event.type === "keydown" && !(event.target as Element).closest("input, textarea, [data-node] *");
    if (event.type === "keydown" && event.key === "Escape" && running?.started) {
      event.stopPropagation();
      onCancel();
    }
  }

  /** React Flow has one speed of zoom; people may want another. */
  function onWheel(event: WheelEvent): void {
    const speed = getSetting("canvas.zoomSpeed");
    if (speed === 1 || getSetting("canvas.wheel") !== "zoom" || event.ctrlKey || (event.target as Element).closest(".nowheel, [data-overlay]")) return;
    event.preventDefault();
    event.stopPropagation();
    const { left, top } = root.getBoundingClientRect();
    flow.zoomAt(2 ** (-event.deltaY * (event.deltaMode === 1 ? 0.05 : 0.002) * speed), event.clientX - left, event.clientY - top);
  }

  const on: [EventTarget, string, (event: never) => void, boolean][] = [
    [root, "pointerdown", onDown, true],
    [root, "mousedown", onMouseDown, true],
    [root, "touchstart", onMouseDown, true],
    [root, "pointermove", onHover, false],
    [root, "dblclick", onDoubleClick, false],
    [root, "contextmenu", onMenu, false],
    [root, "auxclick", onAuxClick, false],
    [root, "wheel", onWheel, true],
    [window, "keydown", onKey, true],
    [window, "keyup", onKey, true],
  ];
  for (const [target, name, handler, capture] of on) target.addEventListener(name, handler as EventListener, { capture, passive: false });
  return () => {
    window.clearTimeout(hoverTimer);
    finish();
    for (const [target, name, handler, capture] of on) target.removeEventListener(name, handler as EventListener, { capture });
  };
}
