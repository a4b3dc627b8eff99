import type { ReactFlowInstance } from "@xyflow/react";
import type { DocumentStore } from "@/graph/store";
import type { CanvasParts } from "./context";
import { createHandle } from "./handle";
import { createSceneHolder } from "./sceneHolder";
import type { CanvasCallbacks, ClientPoint } from "./types";
import { createUi } from "./ui";

/** Made once for each mounted canvas. */
export function createParts(store: DocumentStore, tab: string, flow: ReactFlowInstance): CanvasParts {
  const ui = createUi();
  const scene = createSceneHolder(store, ui);
  const callbacks: { current: CanvasCallbacks } = { current: {} };
  let root: HTMLElement | null = null;
  let pointer: ClientPoint | null = null;
  const handle = createHandle({ store, ui, scene, flow, root: () => root, lastPointer: () => pointer, callbacks });
  return {
    store,
    tab,
    ui,
    scene,
    handle,
    callbacks,
    setCallbacks: (next) => {
      callbacks.current = next;
    },
    setRoot: (element) => {
      root = element;
    },
    setPointer: (client) => {
      pointer = client;
    },
  };
}
