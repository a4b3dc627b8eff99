import type { CanvasParts } from "../context";
import type { Point } from "@/graph/types";
import type { ClientPoint } from "../types";

/** What a press on the canvas turned into. One file for each kind. */
export interface Gesture {
  /** Called for each move after the pointer left its place. */
  move(at: Point, event: PointerEvent): void;
  end(at: Point, event: PointerEvent): void;
  /** Taken back, by Escape or because the pointer was lost. */
  cancel(): void;
  /** The pointer was let go where it was pressed. */
  click?(event: PointerEvent): void;
  /** The view must not follow the pointer out of the window, as it moves by itself. */
  readonly still?: boolean;
}

export interface Press {
  readonly parts: CanvasParts;
  readonly start: Point;
  readonly client: ClientPoint;
  readonly event: PointerEvent;
  readonly zoom: number;
}

/** Pixels that a press may wander and still be a click. */
export const SLACK = 4;
