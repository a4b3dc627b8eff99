import { duplicate, groupsInGroup, moveItems, nodesInGroup, type Pasted, reroutesInGroup } from "@/graph/edits";
import type { GroupId, NodeId, Point, RerouteId } from "@/graph/types";
import { getSetting } from "@/app/settings/settings";
import { around } from "../boxes";
import { alignment } from "./alignment";
import type { Gesture, Press } from "./gesture";

interface Items {
  readonly nodes: Set<NodeId>;
  readonly groups: Set<GroupId>;
  readonly reroutes: Set<RerouteId>;
}

/** Drags the selection. Alt drags copies of it; Shift, or the setting, keeps to the grid. */
export function moveGesture(press: Press, click?: (event: PointerEvent) => void): Gesture {
  const { store, ui, scene } = press.parts;
  const copies = press.event.altKey;
  let items: Items | null = null;
  let delta: Point = [0, 0];

  function begin(): Items {
    if (items === null && copies) copySelection(press);
    return (items ??= movable(press));
  }

  return {
    move(at, event) {
      const chosen = begin();
      const raw: Point = [at[0] - press.start[0], at[1] - press.start[1]];
      const boxes = scene.get().nodes.filter((node) => chosen.nodes.has(node.id)).map(({ geometry }) => geometry);
      const groups = scene.get().groups.filter((group) => chosen.groups.has(group.record.id)).map(({ record }) => record.box);
      const box = around(boxes.length > 0 ? boxes : groups);
      const grid = getSetting("canvas.snap") !== event.shiftKey ? getSetting("canvas.gridSize") : 0;
      const aligned = box && grid === 0 && getSetting("canvas.guides") && !event.ctrlKey && chosen.nodes.size < 60 ? alignment(scene.get(), chosen.nodes, box, raw, 6 / press.zoom) : null;
      delta = aligned?.delta ?? (grid > 0 && box ? snapped(box, raw, grid) : raw);
      ui.setState({ drag: { ...chosen, delta }, guides: aligned?.guides ?? [] });
    },
    end() {
      const chosen = items;
      const moved = delta[0] !== 0 || delta[1] !== 0;
      if (chosen !== null && moved) {
        const { graphId } = scene.get();
        store.getState().edit(copies ? "Clone" : "Move", (draft) => moveItems(draft, graphId, chosen, delta), copies ? { coalesce: CLONE } : undefined);
      }
      store.getState().endCoalescing();
      ui.setState({ drag: null, guides: [] });
    },
    cancel() {
      ui.setState({ drag: null, guides: [] });
      if (copies && items !== null) store.getState().undo();
    },
    click,
  };
}

const CLONE = "clone";

function copySelection({ parts: { store, scene } }: Press): void {
  const { selection, edit, select } = store.getState();
  const { graphId } = scene.get();
  const made: Pasted[] = [];
  edit("Clone", (draft) => void made.push(duplicate(draft, graphId, selection, [0, 0])), { coalesce: CLONE });
  if (made[0]) select(made[0]);
}

/** The selection with what lies in its groups, without what is pinned. */
function movable({ parts: { store, scene } }: Press): Items {
  const { selection } = store.getState();
  const { graph, definitions, document } = scene.get();
  const found: Items = { nodes: new Set(selection.nodes), groups: new Set(), reroutes: new Set(selection.reroutes) };
  const pinned = new Set(graph.groups.filter((group) => group.pinned).map((group) => group.id));
  for (const group of graph.groups) {
    if (!selection.groups.has(group.id) || group.pinned) continue;
    found.groups.add(group.id);
    for (const id of nodesInGroup(graph, definitions, group, document)) found.nodes.add(id);
    for (const id of groupsInGroup(graph, group)) if (!pinned.has(id)) found.groups.add(id);
    for (const id of reroutesInGroup(graph, group)) found.reroutes.add(id);
  }
  for (const id of found.nodes) if (graph.nodes[id]?.pinned) found.nodes.delete(id);
  return found;
}

function snapped(box: { x: number; y: number }, [dx, dy]: Point, grid: number): Point {
  const on = (value: number): number => Math.round(value / grid) * grid;
  return [on(box.x + dx) - box.x, on(box.y + dy) - box.y];
}
