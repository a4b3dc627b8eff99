import { useStoreApi } from "@xyflow/react";
import { type PointerEvent as ReactPointerEvent, useEffect, useRef } from "react";
import { onThemeChange, themeColor } from "@/theme/theme";
import { MODE_BYPASSED, MODE_MUTED, type Box } from "@/graph/types";
import { around } from "./boxes";
import { type CanvasParts, useCanvas } from "./context";
import { runLooks } from "./runLooks";
import { type Scene, sceneBounds } from "./scene";
import type { SceneNode } from "./scene";

const WIDTH = 200;
const HEIGHT = 132;

interface Fit {
  readonly scale: number;
  readonly x: number;
  readonly y: number;
}

function fitOf(bounds: Box): Fit {
  const scale = Math.min((WIDTH - 12) / bounds.width, (HEIGHT - 12) / bounds.height);
  return { scale, x: (WIDTH - bounds.width * scale) / 2 - bounds.x * scale, y: (HEIGHT - bounds.height * scale) / 2 - bounds.y * scale };
}

/** The whole graph in small. A press or a drag on it moves the view there. */
export function Minimap() {
  const parts = useCanvas();
  const flow = useStoreApi();
  const ref = useRef<HTMLCanvasElement>(null);
  const fit = useRef<Fit>({ scale: 1, x: 0, y: 0 });

  useEffect(() => {
    const canvas = ref.current;
    const context = canvas?.getContext("2d");
    if (!canvas || !context) return undefined;
    const picture = createPicture(parts);
    let waiting = false;
    const draw = (): void => {
      waiting = false;
      const { transform, width, height } = flow.getState();
      const [x, y, zoom] = transform;
      fit.current = picture.draw(context, { x: -x / zoom, y: -y / zoom, width: width / zoom, height: height / zoom });
    };
    const soon = (): void => {
      if (waiting) return;
      waiting = true;
      requestAnimationFrame(draw);
    };
    let seen = flow.getState().transform;
    const again = (): void => {
      picture.forget();
      soon();
    };
    const stops = [
      flow.subscribe((state) => {
        if (state.transform !== seen) soon();
        seen = state.transform;
      }),
      parts.scene.subscribe(again),
      parts.store.subscribe((now, then) => now.selection !== then.selection && again()),
      onThemeChange(again),
      picture.looks.subscribe(again),
    ];
    soon();
    return () => stops.forEach((stop) => stop());
  }, [parts, flow]);

  const go = (event: ReactPointerEvent<HTMLCanvasElement>): void => {
    const box = event.currentTarget.getBoundingClientRect();
    const { scale, x, y } = fit.current;
    const target = [(event.clientX - box.left - x) / scale, (event.clientY - box.top - y) / scale] as const;
    const { transform, width, height, panZoom } = flow.getState();
    const zoom = transform[2];
    void panZoom?.setViewport({ zoom, x: width / 2 - target[0] * zoom, y: height / 2 - target[1] * zoom });
  };

  return (
    <canvas
      ref={ref}
      className="sl-minimap"
      width={WIDTH * 2}
      height={HEIGHT * 2}
      role="img"
      aria-label="Minimap: press to move the view"
      onPointerDown={(event) => {
        event.currentTarget.setPointerCapture(event.pointerId);
        go(event);
      }}
      onPointerMove={(event) => event.buttons === 1 && go(event)}
    />
  );
}

/** The nodes are drawn once and kept as a picture; only the frame of the view moves over it. */
function createPicture(parts: CanvasParts) {
  const looks = runLooks(parts);
  const kept = document.createElement("canvas");
  kept.width = WIDTH * 2;
  kept.height = HEIGHT * 2;
  let drawn: { fit: Fit; bounds: string } | null = null;

  function drawNodes(scene: Scene, fit: Fit): void {
    const brush = kept.getContext("2d");
    if (brush === null) return;
    brush.setTransform(1, 0, 0, 1, 0, 0);
    brush.clearRect(0, 0, kept.width, kept.height);
    brush.setTransform(2 * fit.scale, 0, 0, 2 * fit.scale, 2 * fit.x, 2 * fit.y);
    for (const { box, record } of scene.groups) {
      brush.globalAlpha = 0.25;
      brush.fillStyle = record.color ?? themeColor("--node-waiting");
      brush.fillRect(box.x, box.y, box.width, box.height);
    }
    brush.globalAlpha = 1;
    const { nodes } = parts.store.getState().selection;
    for (const node of scene.nodes) {
      brush.fillStyle = nodes.has(node.id) ? themeColor("--node-selected") : colorOf(node, looks.get(node.id)?.state);
      brush.fillRect(node.x, node.y, node.width, node.height);
    }
  }

  return {
    looks,
    forget: () => {
      drawn = null;
    },
    draw(context: CanvasRenderingContext2D, view: Box): Fit {
      const scene = parts.scene.get();
      const graph = sceneBounds(scene);
      const bounds = graph ? (around([graph, view]) ?? view) : view;
      // A view far outside would make the graph a speck.
      const area = graph && bounds.width > graph.width * 3 ? graph : bounds;
      const fit = fitOf(area);
      const key = `${fit.scale},${fit.x},${fit.y}`;
      if (drawn?.bounds !== key) {
        drawNodes(scene, fit);
        drawn = { fit, bounds: key };
      }
      context.setTransform(1, 0, 0, 1, 0, 0);
      context.clearRect(0, 0, WIDTH * 2, HEIGHT * 2);
      context.drawImage(kept, 0, 0);
      context.setTransform(2, 0, 0, 2, 0, 0);
      context.strokeStyle = themeColor("--accent");
      context.lineWidth = 1.5;
      context.strokeRect(view.x * fit.scale + fit.x, view.y * fit.scale + fit.y, view.width * fit.scale, view.height * fit.scale);
      return fit;
    },
  };
}

function colorOf(node: SceneNode, state: string | undefined): string {
  if (state === "error") return themeColor("--node-error");
  if (state === "running") return themeColor("--node-running");
  if (node.missing) return themeColor("--node-missing");
  if (node.record.mode === MODE_BYPASSED) return themeColor("--node-bypass");
  if (node.record.mode === MODE_MUTED) return themeColor("--border-soft");
  return node.record.bgcolor ?? themeColor("--node-waiting");
}
