import type { Gesture, Press } from "./gesture";

/** Moves the view by hand, where React Flow was not given the press. */
export function panGesture({ parts, client }: Press): Gesture {
  let last = client;
  return {
    move(_at, event) {
      parts.handle.panBy(event.clientX - last.x, event.clientY - last.y);
      last = { x: event.clientX, y: event.clientY };
    },
    end: () => undefined,
    cancel: () => undefined,
    still: true,
  };
}
