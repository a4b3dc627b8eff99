import "../drawn/surfaces.css";
import { type KeyboardEvent, type PointerEvent, useRef, useState } from "react";
import type { InputDefinition } from "@/graph/definitions";
import { useWidget } from "../../useWidget";
import { JsonWidget } from "../JsonWidget";
import { type Bounds, boundsOf, type End, nearest, type Range, readRange, shareOf, withEnd, writeRange } from "./range";

const NAMES: Readonly<Record<End, string>> = { min: "lower end", max: "upper end", midpoint: "middle" };
const LEAP = 10;

/** A span of values: two handles on a track, and a third between them where the input has one. */
export function RangeWidget({ input }: { input: InputDefinition }) {
  const widget = useWidget(input);
  const bounds = boundsOf(input);
  const range = readRange(widget.value, bounds);
  if (range === null) return <JsonWidget input={input} />;
  return <Track input={input} bounds={bounds} range={range} fixed={widget.linked} change={(next) => widget.set(writeRange(next))} done={widget.done} />;
}

interface TrackProps {
  readonly input: InputDefinition;
  readonly bounds: Bounds;
  readonly range: Range;
  readonly fixed: boolean;
  readonly change: (range: Range) => void;
  readonly done: () => void;
}

function Track({ input, bounds, range, fixed, change, done }: TrackProps) {
  const track = useRef<HTMLDivElement>(null);
  const [held, setHeld] = useState<End | null>(null);
  const ends: readonly End[] = input.options["show_midpoint"] === true && range.midpoint !== undefined ? ["min", "midpoint", "max"] : ["min", "max"];
  const name = input.label ?? input.name;
  const shareAt = (event: PointerEvent): number => {
    const box = track.current?.getBoundingClientRect() ?? new DOMRect(0, 0, 1, 1);
    return (event.clientX - box.left) / (box.width || 1);
  };
  const put = (end: End, share: number): void => {
    const value = bounds.least + share * (bounds.most - bounds.least);
    const span = range.max - range.min;
    change(withEnd(range, end, end === "midpoint" ? (span === 0 ? 0.5 : (value - range.min) / span) : value, bounds));
  };
  const press = (event: PointerEvent, end: End | null): void => {
    if (fixed || event.button !== 0) return;
    event.stopPropagation();
    track.current?.setPointerCapture(event.pointerId);
    const taken = end ?? nearest(range, shareAt(event), bounds);
    setHeld(taken);
    track.current?.querySelector<HTMLElement>(`[data-end="${taken}"]`)?.focus({ preventScroll: true });
    if (end === null) put(taken, shareAt(event));
  };
  const onKey = (event: KeyboardEvent, end: End): void => {
    const way = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: LEAP, PageDown: -LEAP }[event.key];
    if (fixed || event.ctrlKey || event.metaKey || (way === undefined && event.key !== "Home" && event.key !== "End")) return;
    event.preventDefault();
    event.stopPropagation();
    if (way === undefined) return put(end, event.key === "Home" ? 0 : 1);
    const by = way * (event.shiftKey ? LEAP : 1) * (end === "midpoint" ? 0.01 : bounds.step);
    change(withEnd(range, end, (end === "midpoint" ? (range.midpoint ?? 0.5) : range[end]) + by, bounds));
  };
  const release = (): void => {
    setHeld(null);
    done();
  };
  return (
    <div className="sl-surface sl-range" role="group" aria-label={name} data-linked={fixed || undefined} data-tip={input.tooltip}>
      <div className="sl-range-told">
        <span>{name}</span>
        <output>{`${range.min} – ${range.max}`}</output>
      </div>
      <div ref={track} className="sl-range-track nodrag" data-range="" onPointerDown={(event) => press(event, null)} onPointerMove={(event) => held !== null && put(held, shareAt(event))} onPointerUp={release} onPointerCancel={release}>
        <span className="sl-range-span" style={{ left: `${shareOf(range, "min", bounds) * 100}%`, right: `${(1 - shareOf(range, "max", bounds)) * 100}%` }} />
        {ends.map((end) => (
          <span
            key={end}
            className="sl-range-handle"
            data-end={end}
            role="slider"
            tabIndex={fixed ? -1 : 0}
            aria-label={`${name}: ${NAMES[end]}`}
            aria-valuemin={end === "midpoint" ? 0 : bounds.least}
            aria-valuemax={end === "midpoint" ? 1 : bounds.most}
            aria-valuenow={end === "midpoint" ? range.midpoint : range[end]}
            aria-disabled={fixed || undefined}
            style={{ left: `${shareOf(range, end, bounds) * 100}%` }}
            onKeyDown={(event) => onKey(event, end)}
            onBlur={done}
            onPointerDown={(event) => press(event, end)}
          />
        ))}
      </div>
    </div>
  );
}
