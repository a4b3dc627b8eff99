import type { KeyboardEvent, PointerEvent } from "react";

interface ResizerProps {
  label: string;
  /** Which side of the panel it stands on. */
  side: "left" | "right" | "top";
  size: number;
  min: number;
  max: number;
  onResize: (size: number) => void;
}

/** The edge of a panel that changes its size, by dragging or with the arrow keys. */
export function Resizer({ label, side, size, min, max, onResize }: ResizerProps) {
  const sign = side === "right" ? 1 : -1;
  const vertical = side === "top";
  const set = (next: number) => onResize(Math.round(Math.min(max, Math.max(min, next))));
  const down = (event: PointerEvent<HTMLDivElement>) => {
    const from = vertical ? event.clientY : event.clientX;
    const handle = event.currentTarget;
    handle.setPointerCapture(event.pointerId);
    const move = (moved: globalThis.PointerEvent) => set(size + sign * ((vertical ? moved.clientY : moved.clientX) - from));
    const up = () => {
      handle.removeEventListener("pointermove", move);
      handle.removeEventListener("pointerup", up);
      handle.removeEventListener("pointercancel", up);
    };
    handle.addEventListener("pointermove", move);
    handle.addEventListener("pointerup", up);
    handle.addEventListener("pointercancel", up);
  };
  const key = (event: KeyboardEvent) => {
    const grow = vertical ? "ArrowUp" : side === "right" ? "ArrowRight" : "ArrowLeft";
    const shrink = vertical ? "ArrowDown" : side === "right" ? "ArrowLeft" : "ArrowRight";
    if (event.key !== grow && event.key !== shrink) return;
    event.preventDefault();
    set(size + (event.key === grow ? 16 : -16));
  };
  return (
    <div
      className={`sl-resizer sl-resizer--${side}`}
      role="separator"
      aria-label={label}
      aria-orientation={vertical ? "horizontal" : "vertical"}
      aria-valuenow={size}
      aria-valuemin={min}
      aria-valuemax={max}
      tabIndex={0}
      onPointerDown={down}
      onKeyDown={key}
    />
  );
}
