import "../drawn/surfaces.css";
import { type KeyboardEvent, type PointerEvent, useMemo, useRef, useState } from "react";
import { Icon } from "@/app/ui";
import type { InputDefinition } from "@/graph/definitions";
import { useNodeRunPart } from "@/run";
import { useNodePlace } from "../../context";
import { usePromptId } from "../../usePromptId";
import { useWidget } from "../../useWidget";
import { JsonWidget } from "../JsonWidget";
import { barsOf, type Curve, curveAt, INTERPOLATIONS, type Point, readCurve, roomiest, straight, withMoved, withoutPoint, withPoint, writeCurve } from "./curve";

const ARROWS: Readonly<Record<string, Point>> = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
const [STEP, LEAP] = [0.01, 0.1];
const SAMPLES = 128;

/** A curve whose points are dragged, with the histogram that the last run gave behind it. */
export function CurveWidget({ input }: { input: InputDefinition }) {
  const widget = useWidget(input);
  const curve = readCurve(widget.value);
  if (curve === null) return <JsonWidget input={input} />;
  return <Plot input={input} curve={curve} fixed={widget.linked} change={(next) => widget.set(writeCurve(next))} done={widget.done} />;
}

interface PlotProps {
  readonly input: InputDefinition;
  readonly curve: Curve;
  readonly fixed: boolean;
  readonly change: (curve: Curve) => void;
  readonly done: () => void;
}

function Plot({ input, curve: saved, fixed, change, done }: PlotProps) {
  const plot = useRef<HTMLDivElement>(null);
  const [chosen, setChosen] = useState<number | null>(null);
  const [dragged, setDragged] = useState<{ curve: Curve; at: number } | null>(null);
  const curve = dragged?.curve ?? saved;
  const bars = useBars();
  const line = useMemo(() => lineOf(curve), [curve]);
  const name = input.label ?? input.name;

  const place = (event: PointerEvent): Point => {
    const box = plot.current?.getBoundingClientRect() ?? new DOMRect(0, 0, 1, 1);
    return [(event.clientX - box.left) / (box.width || 1), 1 - (event.clientY - box.top) / (box.height || 1)];
  };
  const commit = (next: Curve): void => {
    if (next !== saved) change(next);
    done();
  };
  const press = (event: PointerEvent, at: number | null): void => {
    if (fixed || event.button !== 0) return;
    event.stopPropagation();
    plot.current?.setPointerCapture(event.pointerId);
    const begun = at === null ? withPoint(saved, place(event)) : { curve: saved, at };
    setDragged(begun);
    setChosen(begun.at);
    plot.current?.querySelectorAll<HTMLElement>("[data-point]")[begun.at]?.focus({ preventScroll: true });
  };
  const release = (): void => {
    if (dragged === null) return;
    setDragged(null);
    commit(dragged.curve);
  };
  const remove = (at: number): void => {
    commit(withoutPoint(saved, at));
    setChosen(null);
  };
  const onKey = (event: KeyboardEvent, at: number): void => {
    const arrow = ARROWS[event.key];
    const [x, y] = saved.points[at] ?? [0, 0];
    if (fixed || event.ctrlKey || event.metaKey || event.altKey) return;
    const step = event.shiftKey ? LEAP : STEP;
    if (arrow) change(withMoved(saved, at, [x + arrow[0] * step, y + arrow[1] * step]));
    else if (event.key === "Delete" || event.key === "Backspace") remove(at);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };

  return (
    <div className="sl-surface" role="group" aria-label={name} data-linked={fixed || undefined} data-tip={input.tooltip}>
      <div
        ref={plot}
        className="sl-curve nodrag"
        data-curve=""
        onPointerDown={(event) => press(event, null)}
        onPointerMove={(event) => dragged !== null && setDragged({ ...dragged, curve: withMoved(dragged.curve, dragged.at, place(event)) })}
        onPointerUp={release}
        onPointerCancel={() => setDragged(null)}
      >
        <svg viewBox="0 0 1 1" preserveAspectRatio="none" aria-hidden>
          {bars !== null && <path className="sl-curve-bars" d={shapeOf(bars)} />}
          <path className="sl-curve-grid" d="M.25 0V1M.5 0V1M.75 0V1M0 .25H1M0 .5H1M0 .75H1" vectorEffect="non-scaling-stroke" />
          <path className="sl-curve-even" d="M0 1L1 0" vectorEffect="non-scaling-stroke" />
          <path className="sl-curve-line" d={line} vectorEffect="non-scaling-stroke" />
        </svg>
        {curve.points.map(([x, y], at) => (
          <button
            key={at}
            type="button"
            className="sl-curve-point"
            data-point=""
            aria-label={`Point ${at + 1} of ${curve.points.length}, in ${shown(x)}, out ${shown(y)}`}
            aria-pressed={at === chosen}
            disabled={fixed}
            style={{ left: `${x * 100}%`, bottom: `${y * 100}%` }}
            onFocus={() => setChosen(at)}
            onBlur={done}
            onKeyDown={(event) => onKey(event, at)}
            onPointerDown={(event) => press(event, at)}
            onContextMenu={(event) => {
              event.preventDefault();
              event.stopPropagation();
              if (!fixed) remove(at);
            }}
          />
        ))}
      </div>
      <div className="sl-surface-tools nodrag">
        <select aria-label={`${name}: between points`} value={curve.interpolation} disabled={fixed} onChange={(event) => commit({ ...saved, interpolation: event.target.value })}>
          {!(curve.interpolation in INTERPOLATIONS) && <option>{curve.interpolation}</option>}
          {Object.entries(INTERPOLATIONS).map(([value, word]) => (
            <option key={value} value={value}>
              {word}
            </option>
          ))}
        </select>
        <output>{told(curve, chosen)}</output>
        <Tool icon="plus" label="Add a point" disabled={fixed} onPress={() => {
          const added = withPoint(saved, roomiest(saved));
          commit(added.curve);
          setChosen(added.at);
        }} />
        <Tool icon="minus" label="Remove the chosen point" disabled={fixed || chosen === null || saved.points.length <= 2} onPress={() => chosen !== null && remove(chosen)} />
        <Tool icon="reset" label="Straight line" disabled={fixed} onPress={() => {
          commit(straight(saved));
          setChosen(null);
        }} />
      </div>
    </div>
  );
}

interface ToolProps {
  readonly icon: "plus" | "minus" | "reset";
  readonly label: string;
  readonly disabled: boolean;
  readonly onPress: () => void;
}

function Tool({ icon, label, disabled, onPress }: ToolProps) {
  return (
    <button type="button" className="sl-widget-button" aria-label={label} data-tip={label} disabled={disabled} onClick={onPress}>
      <Icon name={icon} size={12} />
    </button>
  );
}

function told({ points }: Curve, chosen: number | null): string {
  const point = chosen === null ? undefined : points[chosen];
  return point === undefined ? `${points.length} points` : `${shown(point[0])} → ${shown(point[1])}`;
}

function shown(value: number): string {
  return value.toFixed(2);
}

/** What ImageHistogram's output was when this node ran. */
function useBars(): readonly number[] | null {
  const place = useNodePlace();
  const inView = usePromptId(place.id);
  const came = useNodeRunPart(place.promptId ?? inView, (run) => run?.outputs?.raw["histogram"]);
  return useMemo(() => barsOf(came), [came]);
}

function lineOf(curve: Curve): string {
  const at = curveAt(curve);
  const inner = curve.points.map(([x]) => x).filter((x) => x > 0 && x < 1);
  const places = [...Array.from({ length: SAMPLES + 1 }, (_, index) => index / SAMPLES), ...inner].sort((one, other) => one - other);
  return places.map((x, index) => `${index === 0 ? "M" : "L"}${x.toFixed(4)} ${(1 - at(x)).toFixed(4)}`).join("");
}

function shapeOf(bars: readonly number[]): string {
  const width = 1 / bars.length;
  return `M0 1${bars.map((height, at) => `V${(1 - height).toFixed(4)}H${((at + 1) * width).toFixed(4)}`).join("")}V1Z`;
}
