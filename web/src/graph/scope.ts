/** Paths through instances of subgraphs, and the ids that nodes have in the form that runs: `instance:inner`. */
import { graphOf } from "./graphs";
import { type Document, type GraphId, type NodeId, type NodeRecord, ROOT, type Scope } from "./types";

/** The scope that a path of instance ids leads to; null if one of them is no instance. */
export function resolvePath(document: Document, path: readonly NodeId[]): Scope | null {
  let graphId: GraphId = ROOT;
  for (const id of path) {
    const type = graphOf(document, graphId)?.nodes[id]?.type;
    if (type === undefined || !graphOf(document, type)?.subgraph) return null;
    graphId = type;
  }
  return { graphId, path: [...path] };
}

/** The way from the root to a scope, with a title for each step. */
export function breadcrumbs(document: Document, path: readonly NodeId[]): { path: NodeId[]; title: string }[] {
  const crumbs: { path: NodeId[]; title: string }[] = [{ path: [], title: "Workflow" }];
  let graphId: GraphId = ROOT;
  path.forEach((id, index) => {
    const node = graphOf(document, graphId)?.nodes[id];
    if (node === undefined) return;
    const name = graphOf(document, node.type)?.subgraph?.name;
    crumbs.push({ path: path.slice(0, index + 1), title: node.title ?? name ?? id });
    graphId = node.type;
  });
  return crumbs;
}

/** The id of a node in the form that runs. */
export function promptId(path: readonly NodeId[], id: NodeId): string {
  return [...path, id].join(":");
}

/** The node that an id of the form that runs means; null if it is gone. */
export function nodeAt(document: Document, id: string): { graphId: GraphId; node: NodeRecord; path: NodeId[] } | null {
  // An id may hold a colon itself, so the whole is tried before its parts.
  const whole = document.graphs[ROOT]?.nodes[id];
  if (whole !== undefined) return { graphId: ROOT, node: whole, path: [] };
  const parts = id.split(":");
  const inner = parts.pop() ?? "";
  const scope = resolvePath(document, parts);
  const node = scope === null ? undefined : graphOf(document, scope.graphId)?.nodes[inner];
  return scope === null || node === undefined ? null : { graphId: scope.graphId, node, path: parts };
}
