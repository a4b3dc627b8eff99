/** What the canvas remembers that is no part of the workflow: gestures under way, hovering, tools. One store per canvas. */
import { createStore, type StoreApi } from "zustand/vanilla";
import type { Box, GroupId, LinkId, NodeId, Point, RerouteId } from "@/graph/types";
import type { LinkInView, SocketRef, Tool } from "./types";

/** Items that follow the pointer; the document changes once, when they are let go. */
export interface Drag {
  readonly nodes: ReadonlySet<NodeId>;
  readonly groups: ReadonlySet<GroupId>;
  readonly reroutes: ReadonlySet<RerouteId>;
  readonly delta: Point;
}

/** A link whose one end is in the person's hand. */
export interface Linking {
  readonly from: SocketRef;
  /** The existing link that was taken off its input. */
  readonly detached: LinkId | null;
}

export interface LinkEnd {
  readonly at: Point;
  readonly target: SocketRef | null;
  /** Why the target does not fit; null if it does. */
  readonly reason: string | null;
}

/** A line that shows with which other item the dragged one is in line. */
export interface Guide {
  readonly axis: "x" | "y";
  readonly at: number;
  readonly from: number;
  readonly to: number;
}

export interface CanvasUi {
  /** Whether the picture is so small that nodes are drawn, not mounted. */
  readonly overview: boolean;
  readonly drag: Drag | null;
  readonly guides: readonly Guide[];
  readonly linking: Linking | null;
  readonly linkEnd: LinkEnd | null;
  readonly box: Box | null;
  readonly lasso: readonly Point[] | null;
  readonly hoverLink: LinkId | null;
  readonly inspect: LinkInView | null;
  readonly editingTitle: NodeId | null;
  readonly editingGroup: GroupId | null;
  /** Height that a node wants for pictures, below its widgets. */
  readonly previews: Readonly<Record<NodeId, number>>;
  readonly tool: Tool;
  readonly locked: boolean;
  /** The socket for which a partner is being chosen by keyboard. */
  readonly choosing: SocketRef | { readonly node: NodeId } | null;
}

export type UiStore = StoreApi<CanvasUi>;

export function createUi(): UiStore {
  return createStore<CanvasUi>(() => ({
    overview: false,
    drag: null,
    guides: [],
    linking: null,
    linkEnd: null,
    box: null,
    lasso: null,
    hoverLink: null,
    inspect: null,
    editingTitle: null,
    editingGroup: null,
    previews: {},
    tool: "pan",
    locked: false,
    choosing: null,
  }));
}
