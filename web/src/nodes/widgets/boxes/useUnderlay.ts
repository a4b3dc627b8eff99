import { useStore } from "zustand";
import { viewUrl } from "@/api/calls";
import { type Definitions } from "@/graph/definitions";
import { definitionOf } from "@/graph/instances";
import type { Document, GraphId, NodeId } from "@/graph/types";
import { widgetValue } from "@/graph/widgets";
import { useNodePlace } from "../../context";
import { fileNamed } from "../../fileNames";

/** Nodes between a picture and where it is shown that are looked through, at most. */
const FARTHEST = 8;

/** The address of the picture file that the input `name` of this node has its pixels from; null where no file is chosen. */
export function useUnderlay(name: string): string | null {
  const { store, graphId, id } = useNodePlace();
  return useStore(store, ({ document, definitions }) => pictureBehind(document, definitions, graphId, id, name));
}

export function pictureBehind(document: Document, definitions: Definitions, graphId: GraphId, id: NodeId, name: string): string | null {
  const graph = document.graphs[graphId];
  let slot = graph?.nodes[id]?.inputs.find((one) => one.name === name);
  for (let hop = 0; hop < FARTHEST; hop++) {
    const link = slot?.link == null ? undefined : graph?.links[slot.link];
    const node = link && graph?.nodes[link.from];
    if (node === undefined) return null;
    const input = definitionOf(document, definitions, node, graphId)?.inputs.find((one) => one.upload === "image");
    const value = input && widgetValue(node, input);
    const file = fileNamed(value);
    if (file !== null) return viewUrl(file, { preview: "webp;85" });
    slot = node.inputs.find((one) => one.type === "IMAGE" || node.type === "Reroute");
  }
  return null;
}
