import "../drawn/surfaces.css";
import { type KeyboardEvent, type PointerEvent, useEffect, useRef, useState } from "react";
import { Icon } from "@/app/ui";
import { type InputDefinition, inputOf, parseInput } from "@/graph/definitions";
import type { Json } from "@/graph/types";
import { useDefinition } from "../../context";
import { useWidget } from "../../useWidget";
import { placeOn, type Size } from "../boxes/boxes";
import { useUnderlay } from "../boxes/useUnderlay";
import { type Brush, FIRST_BRUSH, LARGEST, type Place, resized, SMALLEST, stepped } from "./strokes";
import { type Layer, useLayer } from "./useLayer";

const ARROWS: Readonly<Record<string, Place>> = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const LEAP = 4;

/** A canvas to paint on: over the picture that is linked, else over one colour. */
export function PaintingWidget({ input }: { input: InputDefinition }) {
  const widget = useWidget(input);
  const [brush, setBrush] = useState(FIRST_BRUSH);
  const paper = usePaper();
  const canvas = useRef<HTMLCanvasElement>(null);
  const value = typeof widget.value === "string" ? widget.value : "";
  const put = (next: string): void => {
    widget.set(next);
    widget.done();
  };
  const layer = useLayer(canvas, paper, value, put);
  const name = input.label ?? input.name;
  return (
    <div className="sl-surface" role="group" aria-label={name} data-linked={widget.linked || undefined}>
      <Paper label={name} paper={paper} canvas={canvas} layer={layer} brush={brush} fixed={widget.linked} onBrush={setBrush} />
      <Tools brush={brush} empty={value === ""} fixed={widget.linked} onBrush={setBrush} onClear={() => put("")} />
    </div>
  );
}

interface PaperFacts extends Size {
  readonly color: string;
  /** Address of the picture below. */
  readonly picture: string | null;
}

const PIXELS = 512;
const [WIDTH, HEIGHT] = ["width", "height"].map((name) => parseInput(name, ["INT", { default: PIXELS }], true)) as [InputDefinition, InputDefinition];
const COLOR = parseInput("bg_color", ["COLOR", { default: "#000000" }], true);

/** What is painted on: the picture that comes over the link where it is known, else the node's size and colour. */
function usePaper(): PaperFacts {
  const definition = useDefinition();
  const width = useWidget(inputOf(definition, "width") ?? WIDTH).value;
  const height = useWidget(inputOf(definition, "height") ?? HEIGHT).value;
  const color = useWidget(inputOf(definition, "bg_color") ?? COLOR).value;
  const picture = useUnderlay("image");
  const own = useNaturalSize(picture);
  return { width: own?.width ?? pixels(width), height: own?.height ?? pixels(height), color: typeof color === "string" ? color : "#000000", picture };
}

function pixels(value: Json): number {
  const read = Math.round(Number(value));
  return Number.isFinite(read) && read > 0 ? Math.min(read, 4096) : PIXELS;
}

function useNaturalSize(address: string | null): Size | null {
  const [found, setFound] = useState<{ address: string; size: Size } | null>(null);
  useEffect(() => {
    if (address === null) return undefined;
    const image = new Image();
    image.onload = () => setFound({ address, size: { width: image.naturalWidth, height: image.naturalHeight } });
    image.src = address;
    return () => {
      image.onload = null;
    };
  }, [address]);
  return found !== null && found.address === address ? found.size : null;
}

interface PaperProps {
  readonly label: string;
  readonly paper: PaperFacts;
  readonly canvas: React.RefObject<HTMLCanvasElement | null>;
  readonly layer: Layer;
  readonly brush: Brush;
  readonly fixed: boolean;
  readonly onBrush: (brush: Brush) => void;
}

function Paper({ label, paper, canvas, layer, brush, fixed, onBrush }: PaperProps) {
  const [cursor, setCursor] = useState<Place | null>(null);
  const [down, setDown] = useState<"pointer" | "key" | null>(null);
  const at = ({ clientX: x, clientY: y }: { clientX: number; clientY: number }): Place => placeOn(paper, canvas.current?.getBoundingClientRect() ?? new DOMRect(0, 0, paper.width, paper.height), { x, y });
  const end = (keep: boolean): void => {
    if (down === null) return;
    setDown(null);
    layer.end(keep);
  };
  const press = (event: PointerEvent<HTMLDivElement>): void => {
    if (fixed || event.button !== 0) return;
    event.stopPropagation();
    event.currentTarget.setPointerCapture(event.pointerId);
    event.currentTarget.focus({ preventScroll: true });
    end(true);
    setDown("pointer");
    layer.begin(at(event), brush);
  };
  const move = (event: PointerEvent): void => {
    setCursor(at(event));
    if (down !== "pointer") return;
    const all = event.nativeEvent.getCoalescedEvents();
    layer.go((all.length > 0 ? all : [event.nativeEvent]).map(at));
  };
  const onKey = (event: KeyboardEvent): void => {
    if (fixed || event.ctrlKey || event.metaKey || event.altKey) return;
    const [arrow, here] = [ARROWS[event.key], cursor ?? ([paper.width / 2, paper.height / 2] as const)];
    if (arrow) {
      const leap = event.shiftKey ? LEAP : 1;
      const next = stepped(here, [arrow[0] * leap, arrow[1] * leap], brush, paper);
      setCursor(next);
      if (down === "key") layer.go([next]);
    } else if (event.key === " " || event.key === "Enter") {
      if (event.repeat || down === "pointer") return;
      setCursor(here);
      if (down === "key") end(true);
      else {
        setDown("key");
        layer.begin(here, brush);
      }
    } else if (event.key === "Escape" && down !== null) end(false);
    else if (event.key === "[" || event.key === "]") onBrush(resized(brush, event.key === "]" ? 1 : -1));
    else if (event.key.toLowerCase() === "e") onBrush({ ...brush, kind: brush.kind === "brush" ? "eraser" : "brush" });
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    <div
      className="sl-paper nodrag"
      data-paper=""
      role="application"
      aria-label={`${label}: arrow keys move the brush, space puts it down and takes it up, [ and ] change its size, E erases`}
      tabIndex={fixed ? -1 : 0}
      onPointerDown={press}
      onPointerMove={move}
      onPointerUp={() => end(true)}
      onPointerCancel={() => end(false)}
      onPointerLeave={() => down === null && setCursor(null)}
      onKeyDown={onKey}
      onBlur={() => {
        end(true);
        void layer.send();
      }}
    >
      <svg viewBox={`0 0 ${paper.width} ${paper.height}`} aria-hidden>
        <rect width={paper.width} height={paper.height} fill={paper.color} />
        {paper.picture !== null && <image href={paper.picture} width={paper.width} height={paper.height} preserveAspectRatio="none" />}
      </svg>
      <canvas ref={canvas} aria-hidden />
      <svg className="sl-paper-cursor" viewBox={`0 0 ${paper.width} ${paper.height}`} aria-hidden>
        {cursor !== null && <circle cx={cursor[0]} cy={cursor[1]} r={brush.size / 2} data-down={down !== null || undefined} vectorEffect="non-scaling-stroke" />}
      </svg>
    </div>
  );
}

interface ToolsProps {
  readonly brush: Brush;
  readonly empty: boolean;
  readonly fixed: boolean;
  readonly onBrush: (brush: Brush) => void;
  readonly onClear: () => void;
}

function Tools({ brush, empty, fixed, onBrush, onClear }: ToolsProps) {
  return (
    <div className="sl-surface-tools nodrag">
      {(["brush", "eraser"] as const).map((kind) => (
        <button key={kind} type="button" className="sl-widget-button" aria-label={kind === "brush" ? "Brush" : "Eraser"} data-tip={kind === "brush" ? "Brush" : "Eraser (E)"} aria-pressed={brush.kind === kind} disabled={fixed} onClick={() => onBrush({ ...brush, kind })}>
          <Icon name={kind} size={12} />
        </button>
      ))}
      <input type="color" className="sl-color" aria-label="Colour of the brush" value={brush.color} disabled={fixed} onChange={(event) => onBrush({ ...brush, color: event.target.value })} />
      <label className="sl-slide" data-tip="Size of the brush: [ and ]">
        <span>Size</span>
        <input type="range" min={SMALLEST} max={LARGEST} value={brush.size} disabled={fixed} aria-label="Size of the brush" onChange={(event) => onBrush({ ...brush, size: Number(event.target.value) })} />
      </label>
      <label className="sl-slide" data-tip="Opacity of the brush">
        <span>Opacity</span>
        <input type="range" min={0.01} max={1} step={0.01} value={brush.opacity} disabled={fixed} aria-label="Opacity of the brush" onChange={(event) => onBrush({ ...brush, opacity: Number(event.target.value) })} />
      </label>
      <button type="button" className="sl-widget-button" aria-label="Clear what was painted" data-tip="Clear what was painted" disabled={fixed || empty} onClick={onClear}>
        <Icon name="trash" size={12} />
      </button>
    </div>
  );
}
