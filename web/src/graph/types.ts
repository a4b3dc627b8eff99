/**
 * A workflow as it is edited.
 *
 * Records are plain immutable data. Every record read from a file keeps the JSON it came from in `raw`, so that saving
 * gives back each key that the editor does not know, and each known key that was not changed, exactly as it was.
 *
 * Glossary: a *document* holds *graphs*: the root and one per subgraph definition. A graph holds nodes, links, groups and
 * reroutes. A *socket* is an input or output of a node; a *widget* is an input whose value is set on the node itself.
 * An *instance* is a node whose type is the id of a subgraph definition.
 */

export type Json = null | boolean | number | string | readonly Json[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: Json;
}

/** Ids are text inside the editor, as in the prompt form; `fileId` has the number or text of the file. */
export type NodeId = string;
export type LinkId = string;
export type RerouteId = string;
export type GroupId = string;
/** `ROOT` or the id of a subgraph definition. */
export type GraphId = string;

export const ROOT: GraphId = "root";
/** Ids that links inside a subgraph use for its own inputs and outputs. */
export const INPUT_SIDE: NodeId = "-10";
export const OUTPUT_SIDE: NodeId = "-20";

export const MODE_NORMAL = 0;
export const MODE_MUTED = 2;
export const MODE_BYPASSED = 4;
/** Other numbers occur in files of other editors and are kept. */
export type NodeMode = number;

export interface Selection {
  readonly nodes: ReadonlySet<NodeId>;
  readonly links: ReadonlySet<LinkId>;
  readonly groups: ReadonlySet<GroupId>;
  readonly reroutes: ReadonlySet<RerouteId>;
}

/** Which graph is shown, and through which instances it was entered. */
export interface Scope {
  readonly graphId: GraphId;
  readonly path: readonly NodeId[];
}

export type Point = readonly [x: number, y: number];
export interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export interface InputSlot {
  readonly name: string;
  readonly type: string;
  readonly link: LinkId | null;
  /** Name of the widget that this input stands for. */
  readonly widget?: string;
  readonly label?: string;
  readonly shape?: number;
  /** Not in the file: made from the node's definition, and saved only once it is linked. */
  readonly added?: true;
  /** The file names a link here that does not exist; it is saved again as it was unless a link is made. */
  readonly dangling?: true;
  readonly raw: JsonObject;
}

export interface OutputSlot {
  readonly name: string;
  readonly type: string;
  readonly links: readonly LinkId[];
  readonly label?: string;
  readonly shape?: number;
  readonly added?: true;
  /** `links` as read, where the file lists others: an unchanged output is saved as the file had it. */
  readonly read?: readonly LinkId[];
  readonly raw: JsonObject;
}

export interface NodeRecord {
  readonly id: NodeId;
  readonly fileId: number | string;
  /** Name of a node class, a front-end-only type (`Note`, `Reroute`…) or the id of a subgraph definition. */
  readonly type: string;
  /** Top left of the body; the title bar stands above it, as in saved files. */
  readonly pos: Point;
  /** Body size without the title bar. Null: not in the file, computed (see `layout.ts`). */
  readonly size: Point | null;
  readonly mode: NodeMode;
  readonly collapsed: boolean;
  readonly pinned: boolean;
  /** Null: the display name of the definition. */
  readonly title: string | null;
  readonly color: string | null;
  readonly bgcolor: string | null;
  readonly inputs: readonly InputSlot[];
  readonly outputs: readonly OutputSlot[];
  /** Widget values by input name, as far as names are known. A widget not in here has its default. */
  readonly values: Readonly<Record<string, Json>>;
  /** What happens to a seed after a run, by input name: `fixed`, `increment`, `decrement`, `randomize`. */
  readonly controls: Readonly<Record<string, string>>;
  /** How the values lie in the file; see `widgets.ts`. */
  readonly valueForm: ValueForm;
  readonly properties: JsonObject;
  readonly raw: JsonObject;
}

/** What one position of a saved list of values holds: a value, what happens to a seed after a run, or something to keep. */
export type ValueKey =
  | { readonly kind: "value"; readonly name: string; readonly fallback: Json }
  | { readonly kind: "control"; readonly name: string }
  /** One number of the box that the value `name` is. */
  | { readonly kind: "part"; readonly name: string; readonly part: string }
  | { readonly kind: "extra"; readonly value: Json };

/** How the values of a node lie in its file. `layout` is what its definition says now, where that differs from `keys`. */
export type ValueForm =
  | { readonly kind: "dict" }
  | { readonly kind: "list"; readonly keys: readonly ValueKey[]; readonly layout?: readonly ValueKey[] }
  /** An instance of a subgraph: `values` and the names of its widgets as they were read; none for a new one. */
  | { readonly kind: "instance"; readonly read?: { readonly values: Readonly<Record<string, Json>>; readonly names: readonly string[] } }
  /** A list whose names cannot be known (missing node type): saved again as it was. */
  | { readonly kind: "opaque" };

export interface LinkRecord {
  readonly id: LinkId;
  readonly fileId: number | string;
  readonly from: NodeId;
  readonly fromSlot: number;
  readonly to: NodeId;
  readonly toSlot: number;
  readonly type: string;
  /** The reroute nearest to the input, if the link runs over reroutes. */
  readonly parent: RerouteId | null;
  /** Ends as read, when the file's own row said something else: an unchanged link is saved as the file had it. */
  readonly repaired?: readonly [from: NodeId, fromSlot: number, to: NodeId, toSlot: number];
  /** The row or object of the file; null for a new link. */
  readonly raw: Json;
}

export interface RerouteRecord {
  readonly id: RerouteId;
  readonly fileId: number | string;
  readonly pos: Point;
  /** The next reroute towards the output. */
  readonly parent: RerouteId | null;
  /** Links over it as read; null for a new one. */
  readonly read: readonly LinkId[] | null;
  readonly raw: JsonObject;
}

export interface GroupRecord {
  readonly id: GroupId;
  readonly title: string;
  readonly box: Box;
  readonly color: string | null;
  readonly fontSize: number | null;
  readonly pinned: boolean;
  readonly raw: JsonObject;
}

/** A published input or output of a subgraph. */
export interface PublishedSlot {
  readonly id: string;
  readonly name: string;
  readonly type: string;
  readonly label?: string;
  /** Links inside, from the input side or to the output side. */
  readonly links: readonly LinkId[];
  readonly read?: readonly LinkId[];
  readonly raw: JsonObject;
}

export interface SubgraphInfo {
  readonly name: string;
  readonly inputs: readonly PublishedSlot[];
  readonly outputs: readonly PublishedSlot[];
  /** Where the two sides are drawn inside. */
  readonly inputBox: Box;
  readonly outputBox: Box;
}

export interface GraphRecord {
  readonly id: GraphId;
  /** Null for the root. */
  readonly subgraph: SubgraphInfo | null;
  readonly nodes: Readonly<Record<NodeId, NodeRecord>>;
  /** Order of the file, which is also the drawing order: last is on top. Keys of `strays` stand among them. */
  readonly nodeOrder: readonly NodeId[];
  readonly links: Readonly<Record<LinkId, LinkRecord>>;
  readonly linkOrder: readonly LinkId[];
  readonly groups: readonly GroupRecord[];
  readonly reroutes: Readonly<Record<RerouteId, RerouteRecord>>;
  readonly rerouteOrder: readonly RerouteId[];
  /** Entries of `nodes` and `links` that cannot be read, by a key in the order lists. Saved again as they were. */
  readonly strays: Readonly<Record<string, Json>>;
  readonly raw: JsonObject;
}

export interface View {
  readonly scale: number;
  readonly offset: Point;
}

export interface Counters {
  readonly node: number;
  readonly link: number;
  readonly reroute: number;
  readonly group: number;
}

export interface Document {
  readonly graphs: Readonly<Record<GraphId, GraphRecord>>;
  /** Subgraph definitions in the order of the file. */
  readonly subgraphOrder: readonly GraphId[];
  /** `extra.ds` of the file; null if it has none. */
  readonly view: View | null;
  /** `extra` of the file. Its `ds`, `reroutes` and `linkExtensions` are written anew on saving. */
  readonly extra: JsonObject;
  /** Highest numbers given out. Undo leaves them alone, so an id never means two things in one document. */
  readonly counters: Counters;
  readonly raw: JsonObject;
}

/** Something odd in a file that was loaded all the same. */
export interface LoadProblem {
  readonly message: string;
  readonly graph: GraphId;
  readonly node?: NodeId;
}
