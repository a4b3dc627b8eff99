/**
 * What a pack's `safelight.js` sees: an ES module in the web folder of a pack, whose default export is called with an
 * `Editor` once the first workflow is on the page. This is what docs/editor.md promises to authors: changes that break modules
 * raise API_VERSION.
 */
import type { Json, JsonObject } from "@/graph/types";

export const API_VERSION = 1;

export interface Editor {
  readonly apiVersion: number;
  /** Name of the pack that the module is of. */
  readonly pack: string;
  /** Brings a widget. Names are of all packs: begin them with the pack's own. Throws if the name is taken. */
  widget(name: string, widget: PackWidget): void;
  /** Hears what packs send over the websocket. The returned function ends it. Throws for the server's own messages. */
  onMessage(event: string, handler: (data: unknown) => void): () => void;
  /** A request to this server: with the prefix of its path, and as whoever opened the page. Waits until the packs' routes are there; rejects other hosts. */
  fetch(path: string, init?: RequestInit): Promise<Response>;
}

export interface PackWidget {
  /** Builds the widget in an empty element. */
  mount(element: HTMLElement, state: WidgetState): MountedWidget | undefined;
}

export interface MountedWidget {
  /** The value, the options or `readOnly` are others now, also by the widget's own `setValue`. */
  update?(value: Json, state: WidgetState): void;
  /** The element goes away: with its node, out of view, or as the packs were read anew. */
  destroy?(): void;
}

export interface WidgetState extends WidgetFacts {
  /** Puts a value into the workflow. Throws for what is no JSON, and within `mount` and `update`; does nothing while `readOnly`. */
  setValue(value: unknown): void;
  /** The change is complete: the next one is a step of its own for undo. */
  done(): void;
}

export interface WidgetFacts {
  /** A copy. */
  readonly value: Json;
  /** All that `object_info` says of the input. */
  readonly options: JsonObject;
  readonly input: { readonly name: string; readonly type: string; readonly label: string; readonly tooltip: string };
  /** `id` as nodes and prompts have it: `5:3` inside of a subgraph. */
  readonly node: { readonly id: string; readonly type: string; readonly title: string };
  /** The value comes over a link. */
  readonly readOnly: boolean;
}
