import { useReactFlow, type Viewport } from "@xyflow/react";
import { useCallback, useEffect, useRef } from "react";
import { useCanvas } from "./context";
import { sceneBounds } from "./scene";
import { isOverview, toFile, viewOf } from "./viewport";

/** Switches to the overview and back, remembers the view in the workflow and for each subgraph. */
export function useView() {
  const { store, ui, scene } = useCanvas();
  const flow = useReactFlow();
  const views = useRef(new Map<string, Viewport>());

  const onMove = useCallback(
    (_event: unknown, viewport: Viewport) => {
      const { overview } = ui.getState();
      const next = isOverview(viewport.zoom, overview);
      if (next !== overview) ui.setState({ overview: next });
    },
    [ui],
  );

  const onMoveEnd = useCallback(
    (_event: unknown, viewport: Viewport) => {
      const { scope, setView } = store.getState();
      views.current.set(scope.graphId, viewport);
      if (scope.path.length === 0) setView(toFile(viewport));
    },
    [store],
  );

  useEffect(() => onMove(null, flow.getViewport()), [flow, onMove]);

  // Entering or leaving a subgraph shows what was seen there last, or all of it.
  useEffect(
    () =>
      store.subscribe((now, then) => {
        if (now.scope.graphId === then.scope.graphId) return;
        views.current.set(then.scope.graphId, flow.getViewport());
        const known = views.current.get(now.scope.graphId);
        queueMicrotask(() => {
          const bounds = sceneBounds(scene.get());
          const { innerWidth, innerHeight } = window;
          const area = document.querySelector("[data-canvas]")?.getBoundingClientRect();
          const view = known ?? (bounds && viewOf(bounds, area?.width ?? innerWidth, area?.height ?? innerHeight));
          if (view) void flow.setViewport(view);
        });
      }),
    [store, flow, scene],
  );

  return { onMove, onMoveEnd };
}
