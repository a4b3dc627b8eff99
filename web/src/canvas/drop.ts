import type { DragEvent } from "react";
import type { Json } from "@/graph/types";
import { addFromSearch } from "./actions";
import type { CanvasParts } from "./context";

export const NODE_DRAG = "application/x-safelight-node";
export const VALUES_DRAG = "application/x-safelight-values";

/** Nodes dragged from the library, and files. */
export function dropHandlers({ store, handle, callbacks }: CanvasParts) {
  return {
    onDragOver: (event: DragEvent) => {
      const files = event.dataTransfer.types.includes("Files") && callbacks.current.onDropFiles !== undefined;
      if (!files && !event.dataTransfer.types.includes(NODE_DRAG)) return;
      event.preventDefault();
      event.dataTransfer.dropEffect = "copy";
    },
    onDrop: (event: DragEvent) => {
      const at = handle.toGraph({ x: event.clientX, y: event.clientY });
      const type = event.dataTransfer.getData(NODE_DRAG);
      if (type !== "") {
        event.preventDefault();
        addFromSearch(store, { at, client: { x: event.clientX, y: event.clientY } }, type, valuesOf(event.dataTransfer.getData(VALUES_DRAG)));
        handle.focus();
        return;
      }
      const files = [...event.dataTransfer.files];
      if (files.length === 0 || callbacks.current.onDropFiles === undefined) return;
      event.preventDefault();
      event.stopPropagation();
      callbacks.current.onDropFiles(files, at);
    },
  };
}

function valuesOf(text: string): Record<string, Json> | undefined {
  if (text === "") return undefined;
  try {
    return JSON.parse(text) as Record<string, Json>;
  } catch {
    return undefined;
  }
}
