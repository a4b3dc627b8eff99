import type { Point } from "@/graph/types";
import { boxOf } from "../boxes";
import { insideBox, insideLasso } from "../hit";
import type { Gesture, Press } from "./gesture";

type Mode = "replace" | "add" | "remove";

function modeOf(event: PointerEvent, lasso: boolean): Mode {
  if (!lasso && event.altKey) return "remove";
  return event.shiftKey && !lasso ? "add" : "replace";
}

/** Selects what a rectangle touches, while it is drawn. Shift adds, Alt takes away. */
export function boxGesture({ parts: { store, ui, scene }, start }: Press, click?: () => void): Gesture {
  const before = store.getState().selection;
  return {
    move(at, event) {
      const box = boxOf(start, at);
      const mode = modeOf(event, false);
      ui.setState({ box });
      store.setState({ selection: before });
      store.getState().select(insideBox(scene.get(), box), mode);
    },
    end: () => ui.setState({ box: null }),
    cancel() {
      ui.setState({ box: null });
      store.setState({ selection: before });
    },
    click,
  };
}

/** Selects what a line drawn by hand goes around. */
export function lassoGesture({ parts: { store, ui, scene }, start, zoom }: Press): Gesture {
  const before = store.getState().selection;
  let points: Point[] = [start];
  return {
    move(at) {
      const last = points.at(-1) as Point;
      if (Math.hypot(at[0] - last[0], at[1] - last[1]) * zoom < 3) return;
      points = [...points, at];
      ui.setState({ lasso: points });
      store.getState().select(insideLasso(scene.get(), points));
    },
    end: () => ui.setState({ lasso: null }),
    cancel() {
      ui.setState({ lasso: null });
      store.setState({ selection: before });
    },
  };
}
