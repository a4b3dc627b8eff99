import { useStoreApi } from "@xyflow/react";
import { type PointerEvent as ReactPointerEvent, useEffect, useRef } from "react";
import { onThemeChange, themeColor } from "@/theme/theme";
import { MODE_BYPASSED, MODE_MUTED, type Box } from "@/graph/types";
import { type CanvasParts, useCanvas } from "./context";
import { runLooks } from "./runLooks";
import { type SceneNode, sceneBounds } from "./scene";

const WIDTH = 200;
const HEIGHT = 132;
const MARGIN = 10;

interface Fit {
  readonly scale: number;
  readonly x: number;
  readonly y: number;
}

function fitOf(bounds: Box): Fit {
  const scale = Math.min((WIDTH - 2 * MARGIN) / bounds.width, (HEIGHT - 2 * MARGIN) / bounds.height);
  return { scale, x: (WIDTH - bounds.width * scale) / 2 - bounds.x * scale, y: (HEIGHT - bounds.height * scale) / 2 - bounds.y * scale };
}

function within(value: number, size: number): number {
  return Math.min(size - 4, Math.max(2, value));
}

/** The whole graph in small. A press or a drag on it moves the view there. */
export function Minimap() {
  const parts = useCanvas();
  const flow = useStoreApi();
  const canvasRef = useRef<HTMLCanvasElement>(null);
  const frameRef = useRef<HTMLDivElement>(null);
  const fit = useRef<Fit>({ scale: 1, x: 0, y: 0 });

  useEffect(() => {
    const context = canvasRef.current?.getContext("2d");
    const frame = frameRef.current;
    if (!context || !frame) return undefined;
    const looks = runLooks(parts);
    let waiting = 0;
    // Only the frame moves with the view: the picture itself changes with the graph.
    const place = (): void => {
      const { transform, width, height } = flow.getState();
      const [x, y, zoom] = transform;
      const { scale } = fit.current;
      // A view that reaches beyond the map ends at its edge, so that the frame stays whole.
      const left = within((-x / zoom) * scale + fit.current.x, WIDTH);
      const top = within((-y / zoom) * scale + fit.current.y, HEIGHT);
      frame.style.transform = `translate(${left}px, ${top}px)`;
      frame.style.width = `${within(((width - x) / zoom) * scale + fit.current.x, WIDTH) - left}px`;
      frame.style.height = `${within(((height - y) / zoom) * scale + fit.current.y, HEIGHT) - top}px`;
    };
    const draw = (): void => {
      waiting = 0;
      fit.current = drawGraph(context, parts, looks.get);
      place();
    };
    const soon = (): void => {
      waiting ||= window.setTimeout(() => requestAnimationFrame(draw), 60);
    };
    let seen = flow.getState().transform;
    const stops = [
      flow.subscribe((state, then) => {
        if (state.transform !== seen || state.width !== then.width || state.height !== then.height) place();
        seen = state.transform;
      }),
      parts.scene.subscribe(soon),
      parts.store.subscribe((now, then) => now.selection !== then.selection && soon()),
      onThemeChange(soon),
      looks.subscribe(soon),
      () => window.clearTimeout(waiting),
    ];
    draw();
    return () => stops.forEach((stop) => stop());
  }, [parts, flow]);

  const go = (event: ReactPointerEvent<HTMLElement>): void => {
    const box = event.currentTarget.getBoundingClientRect();
    const { scale, x, y } = fit.current;
    const target = [(event.clientX - box.left - x) / scale, (event.clientY - box.top - y) / scale] as const;
    const { transform, width, height, panZoom } = flow.getState();
    const zoom = transform[2];
    void panZoom?.setViewport({ zoom, x: width / 2 - target[0] * zoom, y: height / 2 - target[1] * zoom });
  };

  return (
    <div
      className="sl-minimap"
      role="img"
      aria-label="Minimap: press to move the view"
      onPointerDown={(event) => {
        event.currentTarget.setPointerCapture(event.pointerId);
        go(event);
      }}
      onPointerMove={(event) => event.buttons === 1 && go(event)}
    >
      <canvas ref={canvasRef} width={WIDTH * 2} height={HEIGHT * 2} />
      <div ref={frameRef} className="sl-minimap-view" />
    </div>
  );
}

function drawGraph(context: CanvasRenderingContext2D, parts: CanvasParts, lookOf: ReturnType<typeof runLooks>["get"]): Fit {
  const scene = parts.scene.get();
  const fit = fitOf(sceneBounds(scene) ?? { x: 0, y: 0, width: 1200, height: 800 });
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, WIDTH * 2, HEIGHT * 2);
  context.setTransform(2 * fit.scale, 0, 0, 2 * fit.scale, 2 * fit.x, 2 * fit.y);
  for (const { box, record } of scene.groups) {
    context.globalAlpha = 0.25;
    context.fillStyle = record.color ?? themeColor("--node-waiting");
    context.fillRect(box.x, box.y, box.width, box.height);
  }
  context.globalAlpha = 1;
  const { nodes } = parts.store.getState().selection;
  for (const node of scene.nodes) {
    context.fillStyle = nodes.has(node.id) ? themeColor("--node-selected") : colorOf(node, lookOf(node.id)?.state);
    context.fillRect(node.x, node.y, node.width, node.height);
  }
  return fit;
}

function colorOf(node: SceneNode, state: string | undefined): string {
  if (state === "error") return themeColor("--node-error");
  if (state === "running") return themeColor("--node-running");
  if (node.missing) return themeColor("--node-missing");
  if (node.record.mode === MODE_BYPASSED) return themeColor("--node-bypass");
  if (node.record.mode === MODE_MUTED) return themeColor("--border-soft");
  return node.record.bgcolor ?? themeColor("--node-waiting");
}
