import { createContext, useContext, useSyncExternalStore } from "react";
import { useStore } from "zustand";
import type { DocumentState, DocumentStore } from "@/graph/store";
import type { Scene } from "./scene";
import type { SceneHolder } from "./sceneHolder";
import type { CanvasCallbacks, CanvasHandle, ClientPoint } from "./types";
import type { CanvasUi, UiStore } from "./ui";

/** What everything on one canvas shares. It never changes while the canvas is mounted. */
export interface CanvasParts {
  readonly store: DocumentStore;
  readonly tab: string;
  readonly ui: UiStore;
  readonly scene: SceneHolder;
  readonly handle: CanvasHandle;
  /** The newest callbacks of the owner. */
  readonly callbacks: { readonly current: CanvasCallbacks };
  setCallbacks(callbacks: CanvasCallbacks): void;
  setRoot(root: HTMLElement | null): void;
  setPointer(client: ClientPoint): void;
}

export const CanvasContext = createContext<CanvasParts | null>(null);

export function useCanvas(): CanvasParts {
  const parts = useContext(CanvasContext);
  if (parts === null) throw new Error("This part of the canvas stands outside of <Canvas>.");
  return parts;
}

export function useUi<T>(selector: (ui: CanvasUi) => T): T {
  return useStore(useCanvas().ui, selector);
}

export function useDocument<T>(selector: (state: DocumentState) => T): T {
  return useStore(useCanvas().store, selector);
}

export function useScene(): Scene {
  const { scene } = useCanvas();
  return useSyncExternalStore(scene.subscribe, scene.get);
}
