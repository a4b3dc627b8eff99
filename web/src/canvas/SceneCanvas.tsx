import { useStoreApi } from "@xyflow/react";
import { useEffect, useRef } from "react";
import { onAnySetting, getSetting } from "@/app/settings/settings";
import { onThemeChange } from "@/theme/theme";
import type { LinkId, NodeId } from "@/graph/types";
import { type CanvasParts, useCanvas } from "./context";
import { type Picture, paint, type View } from "./paint/painter";
import { runLooks } from "./runLooks";
import type { Scene } from "./scene";

/** The canvas element behind the nodes. It is drawn again in the same frame in which the view or the scene changes. */
export function SceneCanvas() {
  const parts = useCanvas();
  const flow = useStoreApi();
  const ref = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const canvas = ref.current;
    if (canvas === null) return undefined;
    const draw = createDrawer(canvas, parts, () => {
      const [x, y, zoom] = flow.getState().transform;
      return { x, y, zoom };
    });
    const looks = runLooks(parts);
    let view = flow.getState().transform;
    const stops = [
      flow.subscribe(({ transform }) => {
        if (transform !== view) draw.move();
        view = transform;
      }),
      parts.scene.subscribe(draw.soon),
      parts.store.subscribe(({ selection }, then) => selection !== then.selection && draw.soon()),
      parts.ui.subscribe((now, then) => {
        if (now.overview !== then.overview || now.hoverLink !== then.hoverLink || now.linking !== then.linking) draw.soon();
      }),
      onThemeChange(draw.soon),
      onAnySetting(draw.soon),
      looks.subscribe(() => parts.ui.getState().overview && draw.soon()),
    ];
    draw.looks = looks.get;
    const observer = new ResizeObserver(draw.resize);
    observer.observe(canvas);
    return () => {
      observer.disconnect();
      draw.stop();
      stops.forEach((stop) => stop());
    };
  }, [parts, flow]);
  return <canvas ref={ref} className="sl-scene" aria-hidden />;
}

/** Pixels drawn beyond each edge, so that a pan only has to move the picture. */
const MARGIN = 256;
/** Milliseconds after the last change of zoom until the picture is drawn beyond the edges again. */
const SETTLED = 120;

function createDrawer(canvas: HTMLCanvasElement, parts: CanvasParts, view: () => View) {
  const context = canvas.getContext("2d", { alpha: true });
  let waiting = false;
  let drawn: View = { x: 0, y: 0, zoom: 0 };
  let reach = 0;
  let settling: ReturnType<typeof setTimeout> | undefined;
  const size = { width: 0, height: 0, ratio: 1 };
  const strong = strongLinks();

  function draw(): void {
    waiting = false;
    if (context === null || size.width === 0) return;
    const next = view();
    // While the zoom changes, what is drawn beyond the edges would be of no use.
    const zooming = drawn.zoom !== 0 && next.zoom !== drawn.zoom;
    drawn = next;
    reach = zooming ? 0 : MARGIN;
    paint(context, pictureOf({ ...drawn, x: drawn.x + MARGIN, y: drawn.y + MARGIN }, MARGIN - reach));
    canvas.style.transform = "";
    clearTimeout(settling);
    if (zooming) settling = setTimeout(draw, SETTLED);
  }

  function pictureOf(shown: View, bare: number): Picture {
    const ui = parts.ui.getState();
    const { selection } = parts.store.getState();
    const scene = parts.scene.get();
    return {
      scene,
      view: shown,
      ...size,
      bare,
      overview: ui.overview,
      grid: getSetting("canvas.background") === "none" ? null : getSetting("canvas.gridSize"),
      linkStyle: getSetting("links.style"),
      linksVisible: getSetting("links.visible"),
      dim: ui.linking !== null,
      strong: strong(scene, selection.nodes),
      hoverLink: ui.hoverLink,
      detached: ui.linking?.detached ?? null,
      selection,
      lookOf: drawer.looks,
    };
  }

  const drawer = {
    looks: (() => null) as Picture["lookOf"],
    /** Once after all that happens in this task, still before the frame is shown. */
    soon(): void {
      if (waiting) return;
      waiting = true;
      queueMicrotask(draw);
    },
    /** The view went elsewhere: the picture goes with it as far as it reaches. */
    move(): void {
      const { x, y, zoom } = view();
      const [dx, dy] = [x - drawn.x, y - drawn.y];
      if (waiting || zoom !== drawn.zoom || Math.abs(dx) > reach || Math.abs(dy) > reach) drawer.soon();
      else canvas.style.transform = `translate(${dx}px, ${dy}px)`;
    },
    stop(): void {
      clearTimeout(settling);
    },
    resize(): void {
      size.width = canvas.clientWidth;
      size.height = canvas.clientHeight;
      size.ratio = Math.min(window.devicePixelRatio || 1, 2);
      canvas.width = Math.round(size.width * size.ratio);
      canvas.height = Math.round(size.height * size.ratio);
      draw();
    },
  };
  return drawer;
}

/** Links of the selected nodes, worked out again only when the selection or the links change. */
function strongLinks(): (scene: Scene, nodes: ReadonlySet<NodeId>) => ReadonlySet<LinkId> {
  let last: { links: Scene["graph"]["links"]; nodes: ReadonlySet<NodeId>; found: Set<LinkId> } | null = null;
  return ({ graph }, nodes) => {
    if (last?.links === graph.links && last.nodes === nodes) return last.found;
    const found = new Set<LinkId>();
    if (nodes.size > 0 && nodes.size <= 50) {
      for (const link of Object.values(graph.links)) if (nodes.has(link.from) || nodes.has(link.to)) found.add(link.id);
    }
    last = { links: graph.links, nodes, found };
    return found;
  };
}
