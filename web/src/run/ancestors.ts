/** Nodes inside subgraphs have ids like `5:12`; what happens to them is also shown on the instance `5`. */
import { mergeOutputs } from "./outputs";
import type { NodeRun, NodeState } from "./types";

/** `5:12:3` → `5:12`, `5`. */
export function ancestors(id: string): string[] {
  const found: string[] = [];
  for (let end = id.lastIndexOf(":"); end > 0; end = id.lastIndexOf(":", end - 1)) found.push(id.slice(0, end));
  return found;
}

/** How the nodes inside an instance stand, as one. Null: there are none. */
export function summary(instance: string, nodes: Readonly<Record<string, NodeRun>>, running: boolean): NodeRun | null {
  const prefix = `${instance}:`;
  const inner: NodeRun[] = [];
  for (const id in nodes) {
    const node = nodes[id];
    // Of nested instances only their nodes count, or they would count twice.
    if (node && id.startsWith(prefix) && !isInstance(id, nodes)) inner.push(node);
  }
  if (inner.length === 0) return null;
  const state = stateOf(inner, running);
  const done = inner.filter((one) => isDone(one.state)).length;
  const active = inner.find((one) => one.state === "running");
  const outputs = mergeOutputs(inner.map((one) => one.outputs).filter((one) => one !== undefined));
  const failed = inner.find((one) => one.error);
  return {
    ...(state ? { state } : {}),
    ...(state === "running" ? { value: done + fraction(active), max: inner.length } : {}),
    seconds: inner.reduce((sum, one) => sum + (one.seconds ?? 0), 0),
    ...(failed?.error ? { error: failed.error } : {}),
    ...(failed?.errors ? { errors: failed.errors } : {}),
    ...(active?.preview ? { preview: active.preview } : {}),
    ...(active?.text ? { text: active.text } : {}),
    ...(outputs ? { outputs } : {}),
  };
}

function isInstance(id: string, nodes: Readonly<Record<string, NodeRun>>): boolean {
  return instanceIds.get(nodes)?.has(id) ?? false;
}

/** Ids that stand for instances in a record of nodes; told by whoever makes such records. */
const instanceIds = new WeakMap<object, ReadonlySet<string>>();
export function tellInstances(nodes: object, ids: ReadonlySet<string>): void {
  instanceIds.set(nodes, ids);
}

export function isDone(state: NodeState | undefined): boolean {
  return state === "finished" || state === "reused" || state === "skipped" || state === "error";
}

export function fraction(node: NodeRun | undefined): number {
  return node?.max ? Math.min(1, (node.value ?? 0) / node.max) : 0;
}

function stateOf(inner: readonly NodeRun[], running: boolean): NodeState | undefined {
  const states = new Set(inner.map((one) => one.state));
  if (states.has("error")) return "error";
  if (states.has("running")) return "running";
  const touched = states.has("finished") || states.has("reused");
  if (running && touched && states.has("waiting")) return "running";
  if (states.has("finished")) return "finished";
  if (states.has("reused")) return "reused";
  if (states.has("waiting")) return "waiting";
  return states.has("skipped") ? "skipped" : undefined;
}
