import { addFromSearch } from "@/canvas/actions";
import { activeCanvas } from "@/canvas/handle";
import type { Json } from "@/graph/types";
import { activeStore } from "@/workflows/workspace";

/** What a dragged node is called in a drag's data: its type as text. */
export const NODE_DRAG = "application/x-safelight-node";
/** Widget values for it, as JSON. */
export const VALUES_DRAG = "application/x-safelight-values";

/** Puts a node in the middle of the view. */
export function addAtCentre(type: string, values?: Readonly<Record<string, Json>>): void {
  const store = activeStore();
  const canvas = activeCanvas();
  if (store && canvas) addFromSearch(store, { at: canvas.center(), client: canvas.toClient(canvas.center()) }, type, values);
}
