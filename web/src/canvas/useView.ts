import { useReactFlow, type Viewport } from "@xyflow/react";
import { type RefObject, useCallback, useEffect, useRef } from "react";
import { useCanvas } from "./context";
import { sceneBounds } from "./scene";
import { isOverview, toFile, viewOf } from "./viewport";

/** Switches to the overview and back, remembers the view in the workflow and for each subgraph. */
export function useView(root: RefObject<HTMLElement | null>) {
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

  // While the view is only moved, the nodes keep the picture that was made of them. Zooming must draw them anew, to stay sharp.
  const onMoveStart = useCallback(
    (event: MouseEvent | TouchEvent | null) => {
      if (event !== null && event.type !== "wheel") root.current?.toggleAttribute("data-panning", true);
    },
    [root],
  );

  const onMoveEnd = useCallback(
    (_event: unknown, viewport: Viewport) => {
      root.current?.toggleAttribute("data-panning", false);
      const { scope, setView } = store.getState();
      views.current.set(scope.graphId, viewport);
      if (scope.path.length === 0) setView(toFile(viewport));
    },
    [store, root],
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
          const area = root.current?.getBoundingClientRect();
          const view = known ?? (bounds && viewOf(bounds, area?.width ?? innerWidth, area?.height ?? innerHeight));
          if (view) void flow.setViewport(view);
        });
      }),
    [store, flow, scene, root],
  );

  return { onMoveStart, onMove, onMoveEnd };
}
