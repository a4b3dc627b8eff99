import { resizeNode, updateGroup } from "@/graph/edits";
import type { Box, GroupId, NodeId } from "@/graph/types";
import { getSetting } from "@/app/settings/settings";
import type { Gesture, Press } from "./gesture";

/** Pulls the corner of a node. It grows no smaller than what it shows. */
export function resizeGesture(press: Press, id: NodeId): Gesture {
  const { store, scene } = press.parts;
  const node = scene.get().byId.get(id);
  const width = node?.width ?? 200;
  const height = (node?.height ?? 100) - (node?.geometry.titleHeight ?? 0);
  return {
    move(at, event) {
      const grid = getSetting("canvas.snap") !== event.shiftKey ? getSetting("canvas.gridSize") : 1;
      const on = (value: number): number => Math.round(value / grid) * grid;
      const size = [Math.max(80, on(width + at[0] - press.start[0])), Math.max(20, on(height + at[1] - press.start[1]))] as const;
      store.getState().edit("Resize", (draft) => resizeNode(draft, scene.get().graphId, id, size), { coalesce: `size:${id}` });
    },
    end: () => store.getState().endCoalescing(),
    cancel: () => store.getState().undo(),
  };
}

export function resizeGroupGesture(press: Press, id: GroupId, box: Box): Gesture {
  const { store, scene } = press.parts;
  return {
    move(at, event) {
      const grid = getSetting("canvas.snap") !== event.shiftKey ? getSetting("canvas.gridSize") : 1;
      const on = (value: number): number => Math.round(value / grid) * grid;
      const next = { ...box, width: Math.max(140, on(box.width + at[0] - press.start[0])), height: Math.max(80, on(box.height + at[1] - press.start[1])) };
      store.getState().edit("Resize group", (draft) => updateGroup(draft, scene.get().graphId, id, { box: next }), { coalesce: `size:${id}` });
    },
    end: () => store.getState().endCoalescing(),
    cancel: () => store.getState().undo(),
  };
}
