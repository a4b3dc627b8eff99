/** What the canvas and the code around it tell each other. */
import type { DocumentStore } from "@/graph/store";
import type { GraphId, LinkId, NodeId, Point } from "@/graph/types";

/** A place of the window, in CSS pixels. */
export interface ClientPoint {
  readonly x: number;
  readonly y: number;
}

export interface SocketRef {
  readonly node: NodeId;
  readonly side: "input" | "output";
  readonly slot: number;
  readonly type: string;
}

/** A wish to choose a node to add. */
export interface SearchRequest {
  /** Where the node goes, in graph coordinates. */
  readonly at: Point;
  readonly client: ClientPoint;
  /** The socket that the new node is to be linked with. */
  readonly link?: SocketRef;
}

/** A link that a person wanted and that cannot be. */
export interface Refusal {
  readonly graphId: GraphId;
  readonly from: SocketRef;
  readonly target: SocketRef;
  readonly reason: string;
  /** The link that was in the person's hand. */
  readonly detached: LinkId | null;
}

export interface CanvasCallbacks {
  readonly onOpenSearch?: (request: SearchRequest) => void;
  readonly onShowInfo?: (node: NodeId) => void;
  readonly onRunNodes?: (promptIds: string[]) => void;
  readonly onDropFiles?: (files: File[], at: Point) => void;
  readonly onSaveSubgraph?: (graph: GraphId) => void;
  readonly onRefuse?: (refusal: Refusal) => void;
}

export interface CanvasProps extends CanvasCallbacks {
  readonly store: DocumentStore;
  /** Key of the workflow's tab in the run state. */
  readonly tab: string;
}

/** What commands may ask of the canvas that is on the page. */
export interface CanvasHandle {
  readonly store: DocumentStore;
  fitView(selectionOnly?: boolean): void;
  zoomIn(): void;
  zoomOut(): void;
  resetView(): void;
  /** Moves the picture by pixels. */
  panBy(dx: number, dy: number): void;
  zoomTo(scale: number): void;
  /** Goes to the node's graph, selects the node and brings it into view. */
  reveal(node: NodeId, path?: readonly NodeId[]): void;
  toGraph(client: ClientPoint): Point;
  toClient(point: Point): ClientPoint;
  center(): Point;
  /** Where the pointer last was on the canvas, or its middle. */
  pointer(): Point;
  focus(): void;
  setLocked(locked: boolean): void;
  toggleLock(): void;
  setTool(tool: Tool): void;
  renameSelected(): void;
  openSearch(): void;
}

export type Tool = "pan" | "select" | "lasso";

export interface LinkInView {
  readonly link: LinkId;
  readonly client: ClientPoint;
  /** Stays open until it is closed. */
  readonly pinned: boolean;
}
