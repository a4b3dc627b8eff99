import { askText, type MenuItem } from "@/app/ui";
import { renamePublished, renameSubgraph, unpublish } from "@/graph/subgraphs";
import type { Point } from "@/graph/types";
import { holds } from "../boxes";
import type { CanvasParts } from "../context";
import type { Scene } from "../scene";

/** The border of a subgraph at a place, with its slot there if there is one. */
export function sideSlotUnder(scene: Scene, at: Point): { side: "input" | "output"; index: number | null } | null {
  const found = scene.sides.find(({ box }) => holds(box, at));
  if (found === undefined) return null;
  const slot = found.slots.find((one) => one.slot !== null && Math.abs(one.at[1] - at[1]) <= 11);
  return { side: found.side, index: slot?.index ?? null };
}

export function sideItems({ store, scene }: CanvasParts, side: "input" | "output", index: number | null): MenuItem[] {
  const { graph, graphId } = scene.get();
  const info = graph.subgraph;
  if (info === null) return [];
  const slot = index === null ? undefined : info[side === "input" ? "inputs" : "outputs"][index];
  const renameAll = async (): Promise<void> => {
    const name = await askText({ title: "Rename subgraph", label: "Name", value: info.name });
    if (name) store.getState().edit("Rename subgraph", (draft) => renameSubgraph(draft, graphId, name));
  };
  const rename = async (): Promise<void> => {
    const label = await askText({ title: `Rename ${side}`, label: "Name", value: slot?.label ?? slot?.name ?? "" });
    if (label && index !== null) store.getState().edit(`Rename ${side}`, (draft) => renamePublished(draft, graphId, side, index, label));
  };
  const own: MenuItem[] =
    slot === undefined || index === null
      ? []
      : [
          { heading: `${slot.label ?? slot.name} · ${slot.type}` },
          { label: `Rename ${side}`, icon: "pencil", onSelect: () => void rename() },
          { label: `Remove ${side}`, icon: "trash", danger: true, onSelect: () => store.getState().edit(`Remove ${side}`, (draft) => unpublish(draft, graphId, side, index)) },
          "separator",
        ];
  return [...own, { label: "Rename subgraph", icon: "pencil", onSelect: () => void renameAll() }, { command: "subgraph.leave" }];
}
