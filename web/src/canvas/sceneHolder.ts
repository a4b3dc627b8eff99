import { getSetting, onSetting } from "@/app/settings/settings";
import type { DocumentStore } from "@/graph/store";
import { buildScene, type Scene } from "./scene";
import type { UiStore } from "./ui";

/** Keeps the scene in step with the document and with the drag under way. */
export interface SceneHolder {
  get(): Scene;
  subscribe(listener: () => void): () => void;
  /** Begins to follow; returns the way to stop. */
  start(): () => void;
}

export function createSceneHolder(store: DocumentStore, ui: UiStore): SceneHolder {
  const listeners = new Set<() => void>();
  let scene = build(null);

  function build(before: Scene | null): Scene {
    const { document, definitions, scope } = store.getState();
    const { drag, previews } = ui.getState();
    const graphId = document.graphs[scope.graphId] ? scope.graphId : "root";
    return buildScene({ document, definitions, graphId, drag, previews, hideAdvanced: getSetting("nodes.hideAdvanced") }, before);
  }

  function update(): void {
    scene = build(scene);
    for (const listener of listeners) listener();
  }

  return {
    get: () => scene,
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    start() {
      const stops = [
        onSetting("nodes.hideAdvanced", update),
        store.subscribe((now, then) => {
          if (now.document !== then.document || now.definitions !== then.definitions || now.scope !== then.scope) update();
        }),
        ui.subscribe((now, then) => {
          if (now.drag !== then.drag || now.previews !== then.previews) update();
        }),
      ];
      return () => stops.forEach((stop) => stop());
    },
  };
}
