import type { CanvasHandle } from "../types";

/** How near to the edge the view begins to move, and how far it goes in a frame at most. */
const ZONE = 36;
const SPEED = 14;

/** Moves the view while something is held at the edge of the canvas. */
export function edgePan(root: HTMLElement, handle: CanvasHandle) {
  let frame = 0;
  let push: readonly [number, number] = [0, 0];
  let after: () => void = () => undefined;
  // What begins at the edge does not move the view before it has been away from it.
  let armed = false;

  function step(): void {
    handle.panBy(push[0], push[1]);
    after();
    frame = requestAnimationFrame(step);
  }

  function stop(): void {
    cancelAnimationFrame(frame);
    frame = 0;
  }

  function disarm(): void {
    stop();
    armed = false;
  }

  return {
    stop: disarm,
    at(x: number, y: number, follow: () => void): void {
      const box = root.getBoundingClientRect();
      const [dx, dy] = [pressure(x, box.left, box.right), pressure(y, box.top, box.bottom)];
      push = [dx * SPEED, dy * SPEED];
      after = follow;
      if (dx === 0 && dy === 0) armed = true;
      if (dx === 0 && dy === 0) stop();
      else if (armed && frame === 0) frame = requestAnimationFrame(step);
    },
  };
}

function pressure(at: number, low: number, high: number): number {
  if (at < low + ZONE) return Math.min(1, (low + ZONE - at) / ZONE);
  if (at > high - ZONE) return -Math.min(1, (at - high + ZONE) / ZONE);
  return 0;
}
