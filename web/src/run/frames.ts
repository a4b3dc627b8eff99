/** Gathers changes of nodes and writes them to the store once per frame, however many messages came. */
import { ancestors, fraction, isDone, summary, tellInstances } from "./ancestors";
import { runStore, tabRun } from "./store";
import type { JobRun, NodeRun, TabRun } from "./types";

interface Gathered {
  nodes: Map<string, NodeRun>;
  previews: Map<string, Blob>;
  job: Partial<JobRun>;
}

const gathered = new Map<string, Gathered>();
let scheduled = false;
/** How long the old picture may still be on the page after a new one came. */
const REVOKE_MS = 2000;
/** Hidden pages get no frames: then changes are written a few times a second. */
const HIDDEN_MS = 250;

function of(tab: string): Gathered {
  let found = gathered.get(tab);
  if (!found) gathered.set(tab, (found = { nodes: new Map(), previews: new Map(), job: {} }));
  return found;
}

/** Note a change of a node. Keys with the value undefined are taken away. */
export function changeNode(tab: string, id: string, change: NodeRun): void {
  const { nodes } = of(tab);
  nodes.set(id, { ...nodes.get(id), ...change });
  schedule();
}

/** Note an intermediate picture: only the last one before the next frame is shown. */
export function changePreview(tab: string, id: string, picture: Blob): void {
  of(tab).previews.set(id, picture);
  schedule();
}

export function changeJob(tab: string, change: Partial<JobRun>): void {
  const found = of(tab);
  found.job = { ...found.job, ...change };
  schedule();
}

/** What a node is, with the changes that wait for the next frame. */
export function currentNode(tab: string, id: string): NodeRun {
  return { ...tabRun(tab).nodes[id], ...gathered.get(tab)?.nodes.get(id) };
}

/** Forget changes that wait, for a run that begins anew. */
export function forgetChanges(tab: string): void {
  gathered.delete(tab);
}

function schedule(): void {
  if (scheduled) return;
  scheduled = true;
  if (typeof requestAnimationFrame === "undefined" || document.hidden) setTimeout(flush, HIDDEN_MS);
  else requestAnimationFrame(flush);
}

/** Write everything that waits. */
export function flush(): void {
  scheduled = false;
  if (gathered.size === 0) return;
  const tabs = { ...runStore.getState().tabs };
  for (const [tab, changes] of gathered) tabs[tab] = applied(tabRun(tab), changes);
  gathered.clear();
  runStore.setState({ tabs });
}

function applied(run: TabRun, changes: Gathered): TabRun {
  const nodes = { ...run.nodes };
  for (const [id, change] of changes.nodes) nodes[id] = merged(nodes[id], change);
  for (const [id, picture] of changes.previews) {
    if (nodes[id]?.state === "running") nodes[id] = merged(nodes[id], { preview: URL.createObjectURL(picture) });
  }
  const job = { ...run, ...changes.job };
  summarise(nodes, [...changes.nodes.keys(), ...changes.previews.keys()], job.status === "running");
  return { ...job, nodes, progress: progressOf(job.status, nodes) };
}

function merged(node: NodeRun | undefined, change: NodeRun): NodeRun {
  const next: NodeRun = { ...node, ...change };
  // A preview belongs to a node that runs.
  if (next.state !== "running" && next.preview) delete next.preview;
  if (node?.preview && node.preview !== next.preview) revokeSoon(node.preview);
  for (const key of Object.keys(next) as (keyof NodeRun)[]) if (next[key] === undefined) delete next[key];
  return next;
}

function revokeSoon(url: string): void {
  setTimeout(() => URL.revokeObjectURL(url), REVOKE_MS);
}

/** Bring the instances around changed nodes up to date. */
export function summarise(nodes: Record<string, NodeRun>, changed: Iterable<string>, running: boolean): void {
  const instances = new Set<string>();
  for (const id of changed) for (const instance of ancestors(id)) instances.add(instance);
  if (instances.size === 0) return;
  const all = new Set<string>();
  for (const id in nodes) for (const instance of ancestors(id)) all.add(instance);
  tellInstances(nodes, all);
  for (const instance of instances) {
    const told = summary(instance, nodes, running);
    if (told) nodes[instance] = told;
  }
}

/** Every node counts the same; a node that runs counts by how far it is. */
export function progressOf(status: TabRun["status"], nodes: Readonly<Record<string, NodeRun>>): number {
  if (status === "done") return 1;
  let all = 0;
  let done = 0;
  for (const id in nodes) {
    const node = nodes[id];
    if (!node?.state) continue;
    all += 1;
    done += isDone(node.state) ? 1 : node.state === "running" ? fraction(node) : 0;
  }
  return all === 0 ? 0 : done / all;
}
