/** Zoom and pan of a picture: wheel at the pointer, drag, double click, keys. */
import { useCallback, useEffect, useState, type PointerEvent as ReactPointerEvent, type RefObject } from "react";

export interface Zoom {
  scale: number;
  x: number;
  y: number;
}

const FIT: Zoom = { scale: 1, x: 0, y: 0 };
const MOST = 16;

/** The point (x, y) of the page stays where it is; places are told from the middle of the frame. */
function zoomed(before: Zoom, factor: number, box: DOMRect | undefined, x?: number, y?: number): Zoom {
  const scale = Math.min(MOST, Math.max(1, before.scale * factor));
  if (scale === 1) return FIT;
  if (!box) return { ...before, scale };
  const px = x === undefined ? 0 : x - box.left - box.width / 2;
  const py = y === undefined ? 0 : y - box.top - box.height / 2;
  const ratio = scale / before.scale;
  return { scale, x: px - (px - before.x) * ratio, y: py - (py - before.y) * ratio };
}

/** `frame` holds the picture; at scale 1 it fits. Reset when `key` changes. */
export function useZoom(frame: RefObject<HTMLElement | null>, key: unknown) {
  const [zoom, setZoom] = useState<Zoom>(FIT);
  const [shown, setShown] = useState(key);
  if (shown !== key) {
    setShown(key);
    setZoom(FIT);
  }

  const zoomBy = (factor: number, clientX?: number, clientY?: number) => {
    const box = frame.current?.getBoundingClientRect();
    setZoom((before) => zoomed(before, factor, box, clientX, clientY));
  };

  useEffect(() => {
    const element = frame.current;
    if (!element) return;
    const onWheel = (event: WheelEvent) => {
      event.preventDefault();
      const factor = Math.exp(-event.deltaY * 0.0015);
      const box = element.getBoundingClientRect();
      setZoom((before) => zoomed(before, factor, box, event.clientX, event.clientY));
    };
    element.addEventListener("wheel", onWheel, { passive: false });
    return () => element.removeEventListener("wheel", onWheel);
  }, [frame]);

  const onPointerDown = useCallback((event: ReactPointerEvent<HTMLElement>) => {
    if (event.button !== 0) return;
    const element = event.currentTarget;
    let [x, y] = [event.clientX, event.clientY];
    element.setPointerCapture(event.pointerId);
    const move = (next: PointerEvent) => {
      const [dx, dy] = [next.clientX - x, next.clientY - y];
      [x, y] = [next.clientX, next.clientY];
      setZoom((before) => (before.scale === 1 ? before : { ...before, x: before.x + dx, y: before.y + dy }));
    };
    const end = () => {
      element.removeEventListener("pointermove", move);
      element.removeEventListener("pointerup", end);
      element.removeEventListener("pointercancel", end);
    };
    element.addEventListener("pointermove", move);
    element.addEventListener("pointerup", end);
    element.addEventListener("pointercancel", end);
  }, []);

  const reset = useCallback(() => setZoom(FIT), []);
  return { zoom, zoomBy, reset, onPointerDown, style: { transform: `translate(${zoom.x}px, ${zoom.y}px) scale(${zoom.scale})` } };
}
