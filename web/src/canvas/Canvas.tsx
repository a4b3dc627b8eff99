import "@xyflow/react/dist/base.css";
import "./canvas.css";
import "./commands";
import { ReactFlow, ReactFlowProvider, useReactFlow } from "@xyflow/react";
import { useEffect, useMemo, useRef, useState } from "react";
import { useSetting } from "@/app/settings/settings";
import { NodeView } from "@/nodes/NodeView";
import { CanvasContext, type CanvasParts, useCanvas, useDocument, useScene, useUi } from "./context";
import { flowNodes, NO_NODES } from "./flow";
import { createParts } from "./createParts";
import { dropHandlers } from "./drop";
import { setActiveCanvas } from "./handle";
import { Overlays } from "./Overlays";
import { SceneCanvas } from "./SceneCanvas";
import type { CanvasProps } from "./types";
import { useKeyboard } from "./useKeyboard";
import { usePointer } from "./usePointer";
import { useView } from "./useView";
import { fromFile, MAX_ZOOM, MIN_ZOOM, openingView } from "./viewport";
import { sceneBounds } from "./scene";

const NODE_TYPES = { node: NodeView };
const NO_EDGES: never[] = [];
const HIDE_MARK = { hideAttribution: true };

/** The graph of one workflow. Give it the tab as its key: a canvas shows one document all its life. */
export function Canvas(props: CanvasProps) {
  return (
    <ReactFlowProvider>
      <CanvasRoot {...props} />
    </ReactFlowProvider>
  );
}

function CanvasRoot({ store, tab, ...callbacks }: CanvasProps) {
  const flow = useReactFlow();
  const rootRef = useRef<HTMLDivElement>(null);
  const [parts] = useState(() => createParts(store, tab, flow));

  useEffect(() => parts.setCallbacks(callbacks));
  useEffect(() => parts.setRoot(rootRef.current), [parts]);
  useEffect(() => parts.scene.start(), [parts]);
  useEffect(() => {
    setActiveCanvas(parts.handle);
    return () => setActiveCanvas(null);
  }, [parts]);

  return (
    <CanvasContext.Provider value={parts}>
      <div
        ref={rootRef}
        className="sl-canvas"
        data-canvas=""
        tabIndex={0}
        role="application"
        aria-label="Workflow canvas"
        aria-roledescription="node graph"
        onPointerMove={(event) => parts.setPointer({ x: event.clientX, y: event.clientY })}
        {...dropHandlers(parts)}
      >
        <Layers root={rootRef} />
      </div>
    </CanvasContext.Provider>
  );
}

/** The scene behind, mounted nodes over it, tools on top. */
function Layers({ root }: { root: React.RefObject<HTMLDivElement | null> }) {
  const parts = useCanvas();
  const scene = useScene();
  const overview = useUi((ui) => ui.overview);
  const tool = useUi((ui) => ui.tool);
  const selected = useDocument((state) => state.selection.nodes);
  const wheel = useSetting("canvas.wheel");
  const leftDrag = useSetting("canvas.leftDrag");
  const nodes = useMemo(() => (overview ? NO_NODES : flowNodes(scene, selected)), [overview, scene, selected]);
  const [initial] = useState(() => firstView(parts));
  usePointer(root);
  useKeyboard(root);
  const { onMoveStart, onMove, onMoveEnd } = useView(root);
  const pans = tool === "pan" && leftDrag === "pan";
  return (
    <>
      <SceneCanvas />
      <ReactFlow
        className="sl-flow"
        nodes={nodes}
        edges={NO_EDGES}
        nodeTypes={NODE_TYPES}
        defaultViewport={initial}
        minZoom={MIN_ZOOM}
        maxZoom={MAX_ZOOM}
        onlyRenderVisibleElements
        nodesDraggable={false}
        nodesConnectable={false}
        nodesFocusable={false}
        edgesFocusable={false}
        elementsSelectable={false}
        disableKeyboardA11y
        panOnDrag={pans ? LEFT_AND_MIDDLE : MIDDLE}
        panOnScroll={wheel === "pan"}
        zoomOnScroll={wheel === "zoom"}
        zoomOnDoubleClick={false}
        selectionKeyCode={null}
        multiSelectionKeyCode={null}
        deleteKeyCode={null}
        panActivationKeyCode="Space"
        zoomActivationKeyCode={ZOOM_KEYS}
        autoPanOnNodeFocus={false}
        onMoveStart={onMoveStart}
        onMove={onMove}
        onMoveEnd={onMoveEnd}
        proOptions={HIDE_MARK}
      />
      <Overlays root={root} />
    </>
  );
}

const LEFT_AND_MIDDLE = [0, 1];
const MIDDLE = [1];
const ZOOM_KEYS = ["Meta", "Control"];

/** The view saved with the workflow; if there is none, all of it as well as it can be seen. */
function firstView({ store, scene }: CanvasParts) {
  const { document, scope } = store.getState();
  if (document.view !== null && scope.path.length === 0) return fromFile(document.view);
  const bounds = sceneBounds(scene.get());
  const { width, height } = areaOfCanvas();
  return bounds ? openingView(bounds, width, height) : { x: 0, y: 0, zoom: 1 };
}

/** The canvas itself is not on the page yet, but what it will fill is. */
function areaOfCanvas(): { width: number; height: number } {
  const area = document.querySelector("main")?.getBoundingClientRect();
  return area && area.width > 0 ? area : { width: window.innerWidth - 60, height: window.innerHeight - 60 };
}
