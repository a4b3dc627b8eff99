/** A part of a graph as a value: for copying, duplicating, and subgraphs saved on their own. Text for the system clipboard. */
import { graphOf, linksOf, reroutesOf } from "./graphs";
import { isObject } from "./json";
import type { Document, GraphId, GraphRecord, GroupRecord, LinkRecord, NodeId, NodeRecord, RerouteRecord } from "./types";

const MARK = "safelight/fragment";
const VERSION = 1;

export interface Fragment {
  readonly format: typeof MARK;
  readonly version: number;
  readonly nodes: readonly NodeRecord[];
  /** Links between the nodes, and links into them from outside (of use only in the same graph). */
  readonly links: readonly LinkRecord[];
  readonly groups: readonly GroupRecord[];
  readonly reroutes: readonly RerouteRecord[];
  /** Subgraph definitions that the nodes use, also indirectly. */
  readonly graphs: Readonly<Record<GraphId, GraphRecord>>;
  /** Where it was copied from: links from outside are only made again there. */
  readonly source: { readonly document: string; readonly graph: GraphId };
}

export interface Copied {
  readonly nodes?: Iterable<string>;
  readonly groups?: Iterable<string>;
  readonly reroutes?: Iterable<string>;
}

export function copyFragment(document: Document, graphId: GraphId, items: Copied): Fragment {
  const graph = graphOf(document, graphId);
  if (graph === undefined) throw new Error(`There is no graph ${graphId}.`);
  const wanted = new Set(items.nodes);
  const nodes = graph.nodeOrder.flatMap((id) => (wanted.has(id) ? (graph.nodes[id] ?? []) : []));
  const ids = new Set(nodes.map((node) => node.id));
  const links = linksOf(graph).filter((link) => ids.has(link.to));
  const inner = links.filter((link) => ids.has(link.from));
  const carried = new Set([...inner.flatMap((link) => reroutesOf(graph, link)), ...(items.reroutes ?? [])]);
  const groups = new Set(items.groups);
  return {
    format: MARK,
    version: VERSION,
    nodes,
    links,
    groups: graph.groups.filter((group) => groups.has(group.id)),
    reroutes: graph.rerouteOrder.flatMap((id) => (carried.has(id) ? (graph.reroutes[id] ?? []) : [])),
    graphs: Object.fromEntries(usedGraphs(document, nodes).map((one) => [one.id, one])),
    source: { document: documentName(document), graph: graphId },
  };
}

/** What tells documents apart well enough for links from outside: the id of the file, if it has one. */
export function documentName(document: Document): string {
  const id = document.raw["id"];
  return typeof id === "string" ? id : "";
}

/** Definitions of the subgraphs that nodes are instances of, with those used inside. */
export function usedGraphs(document: Document, nodes: readonly NodeRecord[]): GraphRecord[] {
  const found = new Map<GraphId, GraphRecord>();
  const waiting = [...nodes];
  for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
    const graph = graphOf(document, node.type);
    if (!graph?.subgraph || found.has(graph.id)) continue;
    found.set(graph.id, graph);
    waiting.push(...Object.values(graph.nodes));
  }
  return [...found.values()];
}

export function isEmptyFragment(fragment: Fragment): boolean {
  return fragment.nodes.length === 0 && fragment.groups.length === 0 && fragment.reroutes.length === 0;
}

export function fragmentToText(fragment: Fragment): string {
  return JSON.stringify(fragment);
}

/** The fragment in a text; null if the text is anything else. */
export function fragmentFromText(source: string): Fragment | null {
  if (!source.includes(MARK)) return null;
  let json: unknown;
  try {
    json = JSON.parse(source);
  } catch {
    return null;
  }
  if (!isObject(json) || json["format"] !== MARK || json["version"] !== VERSION) return null;
  const lists = ["nodes", "links", "groups", "reroutes"].every((key) => Array.isArray(json[key]) && (json[key] as readonly unknown[]).every(isObject));
  const sound = lists && isObject(json["graphs"]) && isObject(json["source"]) && soundNodes(json["nodes"] as readonly unknown[]);
  return sound ? (json as unknown as Fragment) : null;
}

/** A clipboard may hold anything: what is read from it is looked at before it gets into a document. */
function soundNodes(nodes: readonly unknown[]): boolean {
  return nodes.every(
    (node) =>
      isObject(node) &&
      typeof node["id"] === "string" &&
      typeof node["type"] === "string" &&
      Array.isArray(node["pos"]) &&
      Array.isArray(node["inputs"]) &&
      Array.isArray(node["outputs"]) &&
      isObject(node["values"]) &&
      isObject(node["valueForm"]) &&
      isObject(node["raw"]),
  );
}

export function fragmentNodes(fragment: Fragment): ReadonlySet<NodeId> {
  return new Set(fragment.nodes.map((node) => node.id));
}
