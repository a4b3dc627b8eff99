/** The canvas that is on the page, for commands. */
import { useSyncExternalStore } from "react";
import type { ReactFlowInstance } from "@xyflow/react";
import { resolvePath } from "@/graph/scope";
import type { DocumentStore } from "@/graph/store";
import type { Box } from "@/graph/types";
import { around } from "./boxes";
import { sceneBounds } from "./scene";
import type { SceneHolder } from "./sceneHolder";
import type { CanvasCallbacks, CanvasHandle, ClientPoint } from "./types";
import type { UiStore } from "./ui";
import { focusOnceMounted } from "./focusOnceMounted";
import { calm, duration, MAX_ZOOM, MIN_ZOOM, toClient, toGraph, viewOf } from "./viewport";

let active: CanvasHandle | null = null;
const listeners = new Set<() => void>();

export function activeCanvas(): CanvasHandle | null {
  return active;
}

export function setActiveCanvas(handle: CanvasHandle | null): void {
  active = handle;
  for (const listener of listeners) listener();
}

export function useActiveCanvas(): CanvasHandle | null {
  return useSyncExternalStore((listener) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  }, activeCanvas);
}

interface Parts {
  readonly store: DocumentStore;
  readonly ui: UiStore;
  readonly scene: SceneHolder;
  readonly flow: ReactFlowInstance;
  readonly root: () => HTMLElement | null;
  readonly lastPointer: () => ClientPoint | null;
  readonly callbacks: { readonly current: CanvasCallbacks };
}

export function createHandle({ store, ui, scene, flow, root, lastPointer, callbacks }: Parts): CanvasHandle {
  const size = (): { width: number; height: number } => {
    const element = root();
    return { width: element?.clientWidth ?? 1280, height: element?.clientHeight ?? 720 };
  };
  const middle = (): ClientPoint => {
    const box = root()?.getBoundingClientRect();
    return box ? { x: box.left + box.width / 2, y: box.top + box.height / 2 } : { x: 0, y: 0 };
  };
  const show = (box: Box | null, largest: number): void => {
    if (box !== null) void flow.setViewport(viewOf(box, size().width, size().height, largest), { duration: duration() });
  };
  const zoomBy = (factor: number): void => handle.zoomTo(flow.getZoom() * factor);

  const handle: CanvasHandle = {
    store,
    fitView(selectionOnly = false) {
      const { nodes } = store.getState().selection;
      const chosen = scene.get().nodes.filter((node) => nodes.has(node.id));
      show(selectionOnly && chosen.length > 0 ? around(chosen) : sceneBounds(scene.get()), 1.2);
    },
    zoomIn: () => zoomBy(1.25),
    zoomOut: () => zoomBy(0.8),
    panBy(dx, dy) {
      const view = flow.getViewport();
      void flow.setViewport({ ...view, x: view.x + dx, y: view.y + dy });
    },
    resetView: () => handle.zoomTo(1),
    zoomTo(scale) {
      const zoom = Math.min(MAX_ZOOM, Math.max(MIN_ZOOM, scale));
      const [x, y] = handle.center();
      const { width, height } = size();
      void flow.setViewport({ zoom, x: width / 2 - x * zoom, y: height / 2 - y * zoom }, { duration: duration() });
    },
    reveal(id, path) {
      const state = store.getState();
      if (path && resolvePath(state.document, path)?.graphId !== state.scope.graphId) state.goTo(path);
      store.getState().select({ nodes: [id] });
      const node = scene.get().byId.get(id);
      if (node === undefined) return;
      show(node, 1);
      focusOnceMounted(root, id, calm() ? 30 : 240);
    },
    toGraph(client) {
      const element = root();
      return element ? toGraph(flow, element, client) : [0, 0];
    },
    toClient(point) {
      const element = root();
      return element ? toClient(flow, element, point) : { x: 0, y: 0 };
    },
    center: () => handle.toGraph(middle()),
    pointer: () => handle.toGraph(lastPointer() ?? middle()),
    focus: () => root()?.focus({ preventScroll: true }),
    setLocked: (locked) => ui.setState({ locked }),
    toggleLock: () => ui.setState({ locked: !ui.getState().locked }),
    setTool: (tool) => ui.setState({ tool }),
    renameSelected() {
      const { nodes, groups } = store.getState().selection;
      const [node, group] = [[...nodes][0], [...groups][0]];
      if (node !== undefined) ui.setState({ editingTitle: node });
      else if (group !== undefined) ui.setState({ editingGroup: group });
    },
    openSearch() {
      const client = lastPointer() ?? middle();
      callbacks.current.onOpenSearch?.({ at: handle.toGraph(client), client });
    },
  };
  return handle;
}
