import { type KeyboardEvent, type PointerEvent, useRef, useState } from "react";
import { Icon } from "@/app/ui";
import type { InputDefinition } from "@/graph/definitions";
import { coerce, stepped } from "@/graph/widgets";
import { useWidget } from "../useWidget";
import { evaluate } from "./expression";
import { Frame } from "./Frame";
import { SeedButtons } from "./SeedButtons";

/** Pixels of drag for one step. */
const PIXELS = 4;

/** A number: drag to change, arrows to step, or type a value or a sum such as `512*2`. */
export function NumberWidget({ input }: { input: InputDefinition }) {
  const widget = useWidget(input);
  const [typing, setTyping] = useState<string | null>(null);
  const replacing = useRef(true);
  const open = (text: string, replace: boolean): void => {
    replacing.current = replace;
    setTyping(text);
  };
  const number = typeof widget.value === "number" ? widget.value : Number(widget.value);
  const shown = spell(input, widget.value);
  const name = input.label ?? input.name;
  const slides = input.display === "slider" && input.min !== undefined && input.max !== undefined;
  const take = (text: string | null): void => {
    const value = text === null ? null : evaluate(text);
    setTyping(null);
    if (value !== null) widget.set(coerce(input, value));
    widget.done();
  };
  const step = (steps: number): void => widget.set(stepped(input, Number.isFinite(number) ? number : 0, steps));
  const drag = useDrag(number, input, widget.set, widget.done, () => open(shown, true));
  return (
    <Frame input={input} given={widget.given} problem={widget.problem} className="sl-widget-number">
      {typing === null ? (
        <>
          {!input.seed && <Stepper name={name} by={-1} icon="chevronLeft" onStep={step} onDone={widget.done} />}
          <div
            className="sl-number"
            role="spinbutton"
            tabIndex={0}
            aria-label={name}
            aria-valuenow={Number.isFinite(number) ? number : undefined}
            aria-valuemin={input.min}
            aria-valuemax={input.max}
            aria-valuetext={shown}
            aria-invalid={widget.problem !== null || undefined}
            onKeyDown={(event) => onKey(event, { step, type: open, shown, set: (value) => widget.set(coerce(input, value)), input })}
            onBlur={widget.done}
            {...drag}
          >
            {slides && <span className="sl-number-bar" style={{ width: `${share(input, number) * 100}%` }} />}
            <span>{shown}</span>
          </div>
          {input.seed ? <SeedButtons input={input} widget={widget} /> : <Stepper name={name} by={1} icon="chevronRight" onStep={step} onDone={widget.done} />}
        </>
      ) : (
        <input
          className="sl-number-field"
          autoFocus
          inputMode="decimal"
          aria-label={name}
          value={typing}
          onFocus={(event) => replacing.current && event.target.select()}
          onChange={(event) => setTyping(event.target.value)}
          onBlur={() => take(typing)}
          onKeyDown={(event) => {
            if (event.key === "Enter") {
              event.preventDefault();
              take(typing);
              event.currentTarget.closest<HTMLElement>("[data-node]")?.focus();
            }
            if (event.key === "Escape") {
              event.stopPropagation();
              event.preventDefault();
              setTyping(null);
            }
          }}
        />
      )}
    </Frame>
  );
}

interface StepperProps {
  readonly name: string;
  readonly by: 1 | -1;
  readonly icon: "chevronLeft" | "chevronRight";
  readonly onStep: (steps: number) => void;
  readonly onDone: () => void;
}

/** For the pointer; the keyboard has the arrows. */
function Stepper({ name, by, icon, onStep, onDone }: StepperProps) {
  return (
    <button
      type="button"
      className="sl-stepper"
      tabIndex={-1}
      aria-label={`${by > 0 ? "More" : "Less"} ${name}`}
      onClick={(event) => {
        onStep(by * (event.shiftKey ? 10 : 1));
        onDone();
      }}
    >
      <Icon name={icon} size={11} />
    </button>
  );
}

interface KeyActions {
  readonly input: InputDefinition;
  readonly shown: string;
  readonly step: (steps: number) => void;
  readonly set: (value: number) => void;
  /** Opens the field with a text, which the next key replaces or goes on with. */
  readonly type: (text: string, replace: boolean) => void;
}

function onKey(event: KeyboardEvent, { input, shown, step, set, type }: KeyActions): void {
  const steps = { ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1, PageUp: 10, PageDown: -10 }[event.key];
  if (steps !== undefined) step(steps * (event.shiftKey ? 10 : 1));
  else if (event.key === "Home" && input.min !== undefined) set(input.min);
  else if (event.key === "End" && input.max !== undefined) set(input.max);
  else if (event.key === "Enter") type(shown, true);
  else if (/^[-\d.,(]$/.test(event.key) && !event.ctrlKey && !event.metaKey) type(event.key, false);
  else return;
  event.preventDefault();
  event.stopPropagation();
}

/** A press that does not move opens the field; one that moves changes the value. */
function useDrag(value: number, input: InputDefinition, set: (value: number) => void, done: () => void, open: () => void) {
  const start = useRef<{ x: number; value: number; moved: boolean } | null>(null);
  return {
    onPointerDown: (event: PointerEvent<HTMLElement>) => {
      if (event.button !== 0) return;
      event.currentTarget.setPointerCapture(event.pointerId);
      start.current = { x: event.clientX, value: Number.isFinite(value) ? value : 0, moved: false };
    },
    onPointerMove: (event: PointerEvent<HTMLElement>) => {
      const from = start.current;
      if (from === null || (!from.moved && Math.abs(event.clientX - from.x) < 4)) return;
      from.moved = true;
      const steps = Math.trunc((event.clientX - from.x) / PIXELS) * (event.shiftKey ? 10 : 1);
      set(stepped(input, from.value, steps));
    },
    onPointerUp: () => {
      const from = start.current;
      start.current = null;
      if (from === null) return;
      if (from.moved) done();
      else open();
    },
    onPointerCancel: () => {
      start.current = null;
      done();
    },
  };
}

function share(input: InputDefinition, value: number): number {
  const [least, most] = [input.min ?? 0, input.max ?? 1];
  return Math.min(1, Math.max(0, (value - least) / (most - least || 1)));
}

/** With as many decimals as a step has. */
export function spell(input: InputDefinition, value: unknown): string {
  if (typeof value !== "number") return value === null || value === undefined ? "" : String(value);
  if (input.kind === "int") return String(value);
  const step = input.round ?? input.step ?? 0.01;
  const decimals = Math.min(8, Math.max(1, (String(step).split(".")[1] ?? "").length));
  const fixed = value.toFixed(decimals);
  // Without the dust of binary fractions: 1.0000000000000004 is shown as 1.
  const exact = Number(value.toPrecision(12));
  return Number(fixed) === exact ? fixed : String(exact);
}
