import "../drawn/surfaces.css";
import { type KeyboardEvent, type PointerEvent, useRef, useState } from "react";
import { useStore } from "zustand";
import { type InputDefinition, inputOf, parseInput } from "@/graph/definitions";
import { setValue } from "@/graph/edits";
import type { Json } from "@/graph/types";
import { useNodeRunPart } from "@/run";
import { recordOf, useDefinition, useNodePlace } from "../../context";
import { usePromptId } from "../../usePromptId";
import { useWidget } from "../../useWidget";
import { BoxFields } from "./BoxFields";
import { counting, type DrawnBox, drawn, type Grip, moved, placeOn, readBoxes, type Size, writeBoxes } from "./boxes";
import { JsonWidget } from "../JsonWidget";
import { useUnderlay } from "./useUnderlay";

const GRIPS: readonly Grip[] = ["nw", "ne", "sw", "se"];
const HUES = ["#4da3ff", "#ff9f43", "#2ecc71", "#ff6b81", "#a55eea", "#f7d046"];
const ARROWS: Readonly<Record<string, readonly [number, number]>> = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** A canvas to draw boxes on, and to say what each is. The node's `width` and `height` are its size. */
export function BoxesWidget({ input }: { input: InputDefinition }) {
  const widget = useWidget(input);
  const { value, incoming, change } = useBoxes(input, widget.value);
  const boxes = readBoxes(value);
  if (boxes === null) return <JsonWidget input={input} />;
  return <Board input={input} boxes={boxes} begun={incoming} fixed={widget.linked} change={change} done={widget.done} />;
}

/** What counts of what was drawn and what came over the link; a change says that it was begun from that. */
function useBoxes(input: InputDefinition, state: Json) {
  const place = useNodePlace();
  const { store, graphId, id } = place;
  const shown = usePromptId(id);
  const came = useNodeRunPart(place.promptId ?? shown, (run) => run?.outputs?.raw["incoming_boxes"]) as Json | undefined;
  const linked = useStore(store, (now) => recordOf(now, place)?.inputs.some((slot) => slot.name === "bboxes" && slot.link !== null) ?? false);
  const begunFrom = useStore(store, (now) => recordOf(now, place)?.values["last_incoming"] ?? null);
  const { boxes, begins } = counting(state, linked ? came : undefined, begunFrom);
  const change = (next: readonly DrawnBox[]): void => {
    store.getState().edit(
      "Change boxes",
      (draft) => {
        setValue(draft, graphId, id, input.name, writeBoxes(next));
        if (begins && came !== undefined) setValue(draft, graphId, id, "last_incoming", came);
      },
      { coalesce: `value:${graphId}:${id}:${input.name}` },
    );
  };
  return { value: boxes, incoming: begins, change };
}

/** The size of the canvas, also where links give it; 1024 where it is not known. */
function useCanvasSize(): Size {
  const definition = useDefinition();
  const width = useWidget(inputOf(definition, "width") ?? WIDTH).value;
  const height = useWidget(inputOf(definition, "height") ?? HEIGHT).value;
  return { width: pixels(width), height: pixels(height) };
}

const UNKNOWN = 1024;
const [WIDTH, HEIGHT] = ["width", "height"].map((name) => parseInput(name, ["INT", { default: UNKNOWN }], true)) as [InputDefinition, InputDefinition];

function pixels(value: Json): number {
  const read = Number(value);
  return Number.isFinite(read) && read > 0 ? read : UNKNOWN;
}

interface BoardProps {
  readonly input: InputDefinition;
  readonly boxes: readonly DrawnBox[];
  /** They came over the link, and nothing was changed yet. */
  readonly begun: boolean;
  readonly fixed: boolean;
  readonly change: (boxes: readonly DrawnBox[]) => void;
  readonly done: () => void;
}

type Drag = { readonly grip: Grip | "new"; readonly index: number; readonly from: readonly [number, number]; readonly to: readonly [number, number] };

function Board({ input, boxes, begun, fixed, change, done }: BoardProps) {
  const canvas = useCanvasSize();
  const underlay = useUnderlay("background");
  const [chosen, setChosen] = useState<number | null>(null);
  const [drag, setDrag] = useState<Drag | null>(null);
  const board = useRef<SVGSVGElement>(null);
  const shown = drag === null ? boxes : dragged(boxes, drag, canvas);
  const selected = chosen === null ? undefined : boxes[chosen];
  const at = (event: PointerEvent): [number, number] => placeOn(canvas, board.current?.getBoundingClientRect() ?? { left: 0, top: 0, ...canvas }, { x: event.clientX, y: event.clientY });

  const press = (event: PointerEvent<Element>, grip: Grip | "new", index: number): void => {
    if (fixed || event.button !== 0) return;
    event.stopPropagation();
    board.current?.setPointerCapture(event.pointerId);
    setChosen(grip === "new" ? null : index);
    setDrag({ grip, index, from: at(event), to: at(event) });
  };
  const release = (event: PointerEvent): void => {
    if (drag === null) return;
    const last = { ...drag, to: at(event) };
    const next = dragged(boxes, last, canvas);
    setDrag(null);
    if (last.from[0] === last.to[0] && last.from[1] === last.to[1]) return;
    if (drag.grip !== "new" || next.length > boxes.length) commit(next);
    if (next.length > boxes.length) setChosen(next.length - 1);
  };
  const commit = (next: readonly DrawnBox[]): void => {
    change(next);
    done();
  };
  const remove = (index: number): void => {
    commit(boxes.filter((_, other) => other !== index));
    setChosen(null);
  };
  const onKey = (event: KeyboardEvent, index: number): void => {
    const box = boxes[index];
    const arrow = ARROWS[event.key];
    if (fixed || box === undefined || event.ctrlKey || event.metaKey) return;
    const step = event.shiftKey ? 16 : 1;
    if (arrow) change(boxes.map((one, other) => (other === index ? moved(one, "move", arrow[0] * step, arrow[1] * step, canvas) : one)));
    else if (event.key === "Delete" || event.key === "Backspace") remove(index);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };

  return (
    <div className="sl-boxes" role="group" aria-label={input.label ?? input.name} data-linked={fixed || undefined}>
      <svg
        ref={board}
        className="sl-boxes-board nodrag"
        viewBox={`0 0 ${canvas.width} ${canvas.height}`}
        data-boxes-board=""
        onPointerDown={(event) => press(event, "new", -1)}
        onPointerMove={(event) => drag !== null && setDrag({ ...drag, to: at(event) })}
        onPointerUp={release}
        onPointerCancel={() => setDrag(null)}
      >
        <rect className="sl-boxes-paper" width={canvas.width} height={canvas.height} />
        {underlay !== null && <image href={underlay} width={canvas.width} height={canvas.height} preserveAspectRatio="none" />}
        {shown.map((box, index) => (
          <BoxShape key={index} box={box} index={index} size={Math.max(canvas.width, canvas.height) / 40} chosen={index === chosen} onPress={press} onKey={onKey} onFocus={setChosen} onBlur={done} />
        ))}
      </svg>
      {/* Of one height, so that the canvas stays where it is when a box is chosen. */}
      <div className="sl-boxes-told">
        {selected !== undefined && chosen !== null && !fixed ? (
          <BoxFields number={chosen + 1} told={selected.told} onChange={(told) => change(boxes.map((one, other) => (other === chosen ? { ...one, told } : one)))} onDone={done} onRemove={() => remove(chosen)} />
        ) : (
          <p className="sl-boxes-hint">{begun ? "From the link; a change here keeps its own." : boxes.length === 0 ? "Drag to draw a box." : `${boxes.length === 1 ? "1 box" : `${boxes.length} boxes`}; choose one to name it.`}</p>
        )}
      </div>
    </div>
  );
}

function dragged(boxes: readonly DrawnBox[], { grip, index, from, to }: Drag, canvas: Size): readonly DrawnBox[] {
  if (grip === "new") {
    const box = drawn(from, to, canvas);
    return box === null ? boxes : [...boxes, box];
  }
  return boxes.map((one, other) => (other === index ? moved(one, grip, to[0] - from[0], to[1] - from[1], canvas) : one));
}

interface BoxShapeProps {
  readonly box: DrawnBox;
  readonly index: number;
  /** Of letters and corners, in pixels of the canvas. */
  readonly size: number;
  readonly chosen: boolean;
  readonly onPress: (event: PointerEvent<Element>, grip: Grip, index: number) => void;
  readonly onKey: (event: KeyboardEvent, index: number) => void;
  readonly onFocus: (index: number) => void;
  readonly onBlur: () => void;
}

function BoxShape({ box, index, size, chosen, onPress, onKey, onFocus, onBlur }: BoxShapeProps) {
  const { x, y, width, height, told } = box;
  const color = told.palette[0] ?? HUES[index % HUES.length];
  const name = `${index + 1} ${told.text || told.desc || told.type}`;
  return (
    <g
      className="sl-box"
      role="button"
      tabIndex={0}
      aria-label={`Box ${name}`}
      aria-pressed={chosen}
      data-chosen={chosen || undefined}
      onFocus={() => onFocus(index)}
      onBlur={onBlur}
      onKeyDown={(event) => onKey(event, index)}
      onPointerDown={(event) => onPress(event, "move", index)}
    >
      <rect {...{ x, y, width, height }} fill={color} stroke={color} vectorEffect="non-scaling-stroke" />
      <text x={x + size * 0.4} y={y + size * 1.1} fontSize={size}>
        {name.length > 28 ? `${name.slice(0, 27)}…` : name}
      </text>
      {chosen &&
        GRIPS.map((grip) => (
          <rect
            key={grip}
            className="sl-box-grip"
            data-grip={grip}
            x={(grip.endsWith("w") ? x : x + width) - size / 2}
            y={(grip.startsWith("n") ? y : y + height) - size / 2}
            width={size}
            height={size}
            onPointerDown={(event) => onPress(event, grip, index)}
          />
        ))}
    </g>
  );
}
