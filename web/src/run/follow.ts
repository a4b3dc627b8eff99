/** Follows jobs: from messages of the websocket to the state of nodes. */
import { getJob, type ExecutionError, type JobDetails, type NodeReport } from "@/api/calls";
import { ApiError } from "@/api/client";
import type { Message, NodeProgress, PreviewMessage, TextMessage } from "@/api/messages";
import type { JsonObject } from "@/graph/types";
import { fromExecution } from "./errors";
import { changeJob, changeNode, changePreview, currentNode, flush, forgetChanges, summarise } from "./frames";
import { neededNodes, type IsSink } from "./needed";
import { readOutputs } from "./outputs";
import { bumpQueue, runStore, setTabRun, tabRun } from "./store";
import { NO_RUN, type NodeRun, type NodeState, type RunStatus } from "./types";

/** Job → the tab that it belongs to, and what is needed of its graph. */
const jobs = new Map<string, { tab: string; needed: string[] | null; isSink: IsSink }>();
/** When nodes began to run, by job and node. */
const began = new Map<string, number>();

/**
 * Hear of a job of a tab. `isSink` says which nodes of its prompt are the outputs that were asked for. The returned
 * function forgets it: the server did not take it.
 */
export function follow(job: string, tab: string, isSink: IsSink): () => void {
  jobs.set(job, { tab, needed: null, isSink });
  const run = tabRun(tab);
  const active = run.status === "running" || run.status === "queued";
  setTabRun(tab, { jobs: [...run.jobs, job], ...(active ? {} : { jobId: job, status: "queued", progress: 0, error: null }) });
  claim(job);
  return () => {
    jobs.delete(job);
    const { status, jobId, endedAt, error } = run;
    const now = tabRun(tab);
    setTabRun(tab, { jobs: now.jobs.filter((id) => id !== job), ...(now.jobId === job && !active ? { status, jobId, endedAt, error } : {}) });
  };
}

/** A job that runs already: the page was away when it began. */
export function resume(job: string): void {
  const tab = tabOf(job);
  if (tab !== undefined && (tabRun(tab).jobId !== job || tabRun(tab).status !== "running")) begin(job, tab);
}

export function tabOf(job: string): string | undefined {
  return jobs.get(job)?.tab;
}

export function forgetTab(tab: string): void {
  for (const [job, known] of jobs) if (known.tab === tab) jobs.delete(job);
  forgetChanges(tab);
  runStore.setState(({ tabs }) => ({ tabs: Object.fromEntries(Object.entries(tabs).filter(([id]) => id !== tab)) }));
}

// -- messages

export function onMessage({ type, data }: Message): void {
  if (type === "status" || type === "feature_flags" || type === "logs" || type === "notification") return;
  const job = data.prompt_id;
  const tab = tabOf(job);
  if (tab === undefined) {
    keepUnclaimed(job, { type, data } as Message);
    return;
  }
  if (type === "execution_start") begin(job, tab);
  else if (type === "execution_cached") for (const id of data.nodes) changeNode(tab, id, { state: "reused", seconds: 0 });
  else if (type === "executing") executing(job, tab, data.display_node ?? data.node);
  else if (type === "progress") changeNode(tab, data.node, { value: data.value, max: data.max });
  else if (type === "progress_state") for (const one of Object.values(data.nodes)) progress(job, tab, one);
  else if (type === "executed") executed(job, tab, data.display_node || data.node, data.output);
  else if (type === "execution_error") failed(job, tab, data);
  else if (type === "execution_success") void finish(job);
  else void finish(job);
}

/**
 * Messages of jobs that no tab has claimed: after a reload of the page the server tells where a job stands before the
 * tabs are restored.
 */
const unclaimed = new Map<string, Message[]>();
const MOST_UNCLAIMED_JOBS = 8;
const MOST_UNCLAIMED = 200;

function keepUnclaimed(job: string, message: Message): void {
  const kept = unclaimed.get(job) ?? [];
  if (kept.length < MOST_UNCLAIMED) unclaimed.set(job, [...kept, message]);
  for (const old of [...unclaimed.keys()].slice(0, -MOST_UNCLAIMED_JOBS)) unclaimed.delete(old);
}

function claim(job: string): void {
  const kept = unclaimed.get(job) ?? [];
  unclaimed.delete(job);
  for (const message of kept) onMessage(message);
}

export function onPreview({ job, node, picture }: PreviewMessage): void {
  const tab = job ? tabOf(job) : runningTab();
  if (tab === undefined) return;
  const shown = node ?? tabRun(tab).currentNode;
  if (shown !== null) changePreview(tab, shown, picture);
}

export function onText({ job, node, text }: TextMessage): void {
  const tab = job ? tabOf(job) : runningTab();
  if (tab !== undefined) changeNode(tab, node, { text });
}

function runningTab(): string | undefined {
  return Object.entries(runStore.getState().tabs).find(([, run]) => run.status === "running")?.[0];
}

function begin(job: string, tab: string): void {
  forgetChanges(tab);
  const nodes: Record<string, NodeRun> = {};
  for (const [id, node] of Object.entries(tabRun(tab).nodes)) {
    if (node.outputs) nodes[id] = kept(node);
  }
  setTabRun(tab, { ...NO_RUN, jobs: tabRun(tab).jobs, jobId: job, status: "running", startedAt: Date.now(), nodes });
  void expect(job, tab);
}

/** What stays of the run before: the results, until there are new ones. */
function kept(node: NodeRun): NodeRun {
  return { ...(node.outputs ? { outputs: node.outputs } : {}), ...(node.outputsJob ? { outputsJob: node.outputsJob } : {}) };
}

/** Told of the prompt that a job of a tab runs: as it was posted, or as the server made it of a workflow. */
let promptListener: (tab: string, prompt: JsonObject) => void = () => {};
export function onPrompt(listener: typeof promptListener): void {
  promptListener = listener;
}

/** Mark the nodes that the job will need as waiting; the server tells only of those whose turn has come. */
async function expect(job: string, tab: string): Promise<void> {
  const known = jobs.get(job);
  if (!known) return;
  try {
    const { prompt } = (await getJob(job)).workflow;
    known.needed ??= neededNodes(prompt, known.isSink);
    promptListener(tab, prompt);
  } catch {
    return; // the run is shown all the same, only not what waits
  }
  if (tabRun(tab).jobId !== job || tabRun(tab).status !== "running") return;
  for (const id of known.needed) if (!currentNode(tab, id).state) changeNode(tab, id, { state: "waiting" });
}

function executing(job: string, tab: string, node: string | null): void {
  if (node === null) {
    void finish(job);
    return;
  }
  if (tabRun(tab).jobId !== job || tabRun(tab).status !== "running") begin(job, tab);
  start(job, tab, node);
  changeJob(tab, { currentNode: node });
}

function start(job: string, tab: string, node: string): void {
  const key = `${job} ${node}`;
  if (!began.has(key)) began.set(key, performance.now());
  if (currentNode(tab, node).state !== "running") changeNode(tab, node, { state: "running", value: undefined, max: undefined });
}

function progress(job: string, tab: string, told: NodeProgress): void {
  const node = told.display_node_id || told.node_id;
  const own = node === told.node_id;
  if (told.state === "running") {
    start(job, tab, node);
    if (told.max > 1 || told.value > 0) changeNode(tab, node, { value: told.value, max: told.max });
  } else if (told.state === "finished" && own) {
    const since = began.get(`${job} ${node}`);
    const ran = since !== undefined;
    began.delete(`${job} ${node}`);
    const state: NodeState = ran ? "finished" : "reused";
    changeNode(tab, node, { state, seconds: ran ? (performance.now() - since) / 1000 : 0, value: undefined, max: undefined, text: undefined });
  } else if (told.state === "error" && own) {
    changeNode(tab, node, { state: "error" });
  }
}

function executed(job: string, tab: string, node: string, output: Record<string, unknown>): void {
  changeNode(tab, node, { outputs: readOutputs(output), outputsJob: job });
}

function failed(job: string, tab: string, data: ExecutionError): void {
  const error = fromExecution(data);
  if (data.node_id) changeNode(tab, data.node_id, { state: "error", error });
  changeJob(tab, { error: { ...error, node: data.node_id, nodeType: data.node_type } });
  void finish(job);
}

// -- the end

/** The job has ended: what its history says is the truth. */
export async function finish(job: string): Promise<void> {
  const known = jobs.get(job);
  if (!known) return;
  jobs.delete(job);
  for (const key of began.keys()) if (key.startsWith(`${job} `)) began.delete(key);
  try {
    const details = await getJob(job);
    if (!isOver(details)) {
      jobs.set(job, known); // queued once more, after its worker was lost
      return;
    }
    applyDetails(known.tab, details);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (error.status === 0) jobs.set(job, known); // looked at again when the connection is back
    else endWithoutHistory(known.tab, job);
  }
  bumpQueue();
}

export function isOver(details: { status: string }): boolean {
  return details.status !== "pending" && details.status !== "in_progress";
}

const STATUS: Record<string, RunStatus> = { completed: "done", failed: "failed", cancelled: "cancelled" };
const STATES: Record<NodeReport["status"], NodeState | undefined> = {
  ran: "finished",
  remade: "finished",
  reused: "reused",
  failed: "error",
  skipped: "skipped",
  not_run: undefined,
};

/** Show an ended job on its tab: marks, results, errors. */
export function applyDetails(tab: string, details: JobDetails): void {
  flush();
  const run = tabRun(tab);
  const rest = run.jobs.filter((id) => id !== details.id);
  if (run.jobId !== details.id && run.status === "running") {
    setTabRun(tab, { jobs: rest });
    return;
  }
  const nodes: Record<string, NodeRun> = {};
  for (const [id, node] of Object.entries(run.nodes)) if (node.outputs) nodes[id] = kept(node);
  for (const [id, report] of Object.entries(details.nodes ?? {})) addReport(nodes, id, report);
  for (const [id, output] of Object.entries(details.outputs)) {
    const shown = details.nodes?.[id]?.display_node ?? id;
    nodes[shown] = { ...nodes[shown], outputs: readOutputs(output), outputsJob: details.id };
  }
  const error = details.execution_error ? fromExecution(details.execution_error) : null;
  const failedNode = details.execution_error?.node_id;
  if (error && failedNode) nodes[failedNode] = { ...nodes[failedNode], state: "error", error };
  summarise(nodes, Object.keys(nodes), false);
  const status = STATUS[details.status] ?? "done";
  setTabRun(tab, {
    jobId: details.id,
    jobs: rest,
    nodes,
    status: rest.length && status === "done" ? "queued" : status,
    progress: rest.length ? 0 : status === "done" ? 1 : 0,
    currentNode: null,
    error: error ? { ...error, node: failedNode, nodeType: details.execution_error?.node_type } : null,
    startedAt: details.execution_start_time ?? run.startedAt,
    endedAt: details.execution_end_time ?? Date.now(),
  });
  promptListener(tab, details.workflow.prompt);
  for (const node of Object.values(run.nodes)) if (node.preview) setTimeout(() => URL.revokeObjectURL(node.preview ?? ""), 2000);
}

/** Nodes of an expansion are told on the node that expanded. */
function addReport(nodes: Record<string, NodeRun>, id: string, report: NodeReport): void {
  const state = STATES[report.status];
  if (!state) return;
  if (report.display_node === id || !report.display_node) {
    const before = nodes[id];
    nodes[id] = { ...before, state, seconds: (before?.seconds ?? 0) + report.seconds };
  } else if (report.seconds > 0) {
    const shown = nodes[report.display_node];
    nodes[report.display_node] = { ...shown, seconds: (shown?.seconds ?? 0) + report.seconds };
  }
}

/** The job is not in the history (it was deleted, or taken out of the queue): nothing runs any more. */
function endWithoutHistory(tab: string, job: string): void {
  flush();
  const run = tabRun(tab);
  const rest = run.jobs.filter((id) => id !== job);
  if (run.jobId !== job) {
    setTabRun(tab, { jobs: rest });
    return;
  }
  const nodes = Object.fromEntries(Object.entries(run.nodes).map(([id, node]) => [id, isOpen(node.state) ? kept(node) : node]));
  setTabRun(tab, { jobs: rest, nodes, status: rest.length ? "queued" : "cancelled", currentNode: null, endedAt: Date.now() });
}

const isOpen = (state: NodeState | undefined) => state === "waiting" || state === "running";

/** After a pause of the connection: see what became of every job that was not over. */
export async function checkOpenJobs(): Promise<void> {
  await Promise.all(
    [...jobs].map(async ([job, { tab }]) => {
      try {
        const details = await getJob(job);
        if (isOver(details)) await finish(job);
        else if (details.status === "pending" && tabRun(tab).jobId === job) waitAgain(tab);
        else if (details.status === "in_progress" && tabRun(tab).jobId !== job) begin(job, tab);
      } catch (error) {
        if (error instanceof ApiError && error.status === 404) endWithoutHistory(tab, job);
      }
    }),
  );
}

/** The job goes back to the queue: the server was started again, or its worker was. */
function waitAgain(tab: string): void {
  flush();
  const nodes = Object.fromEntries(Object.entries(tabRun(tab).nodes).map(([id, node]) => [id, kept(node)]));
  setTabRun(tab, { status: "queued", progress: 0, currentNode: null, nodes });
}
