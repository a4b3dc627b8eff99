/** Every request that the editor makes, by name. */
import type { Json, JsonObject } from "@/graph/types";
import { getJson, request, sendJson, type NodeErrors, type RequestOptions } from "./client";
import type { Converted, LogEntry, ValueDescription } from "./schema.gen";
import { clientId } from "./session";

export interface FileRef {
  filename: string;
  subfolder: string;
  type: string;
}

export interface QueueEntry {
  id: string;
  number: number;
  prompt: JsonObject;
  extra: JsonObject;
  outputs: string[];
}

export type JobStatus = "pending" | "in_progress" | "completed" | "failed" | "cancelled";

export interface JobSummary {
  id: string;
  status: JobStatus;
  create_time: number;
  priority?: number;
  execution_start_time?: number;
  execution_end_time?: number;
  preview_output?: FileRef & { nodeId: string; mediaType: string };
  outputs_count?: number;
  execution_error?: ExecutionError;
  workflow_id?: string;
}

export interface ExecutionError {
  prompt_id?: string;
  node_id: string;
  node_type: string;
  exception_message: string;
  exception_type: string;
  traceback?: string[];
  current_inputs?: Record<string, string[]>;
  input_name?: string | null;
  hint?: string;
}

export interface NodeReport {
  status: "ran" | "reused" | "remade" | "failed" | "skipped" | "not_run";
  seconds: number;
  display_node: string;
}

export interface JobDetails extends JobSummary {
  workflow: { prompt: JsonObject; extra_data: { extra_pnginfo?: { workflow?: JsonObject }; [key: string]: unknown } };
  outputs: Record<string, Record<string, unknown>>;
  nodes?: Record<string, NodeReport>;
  execution_status?: { messages: [string, Record<string, unknown>][] };
}

export interface PromptBody {
  prompt: unknown;
  client_id?: string;
  prompt_id?: string;
  front?: boolean;
  partial_execution_targets?: string[];
  extra_data?: Record<string, unknown>;
}

export interface PromptAnswer {
  prompt_id: string;
  number: number;
  node_errors: NodeErrors;
}

export interface QueueState {
  paused: boolean;
  pending: number;
  running: number;
}

export interface SystemStats {
  system: Record<string, unknown> & { safelight_version?: string; python_version?: string; pytorch_version?: string };
  devices: { name: string; type: string; vram_total: number; vram_free: number }[];
}

export interface PackReport {
  name: string;
  module: string;
  state: "loaded" | "failed" | "disabled";
  /** Seconds that importing it took. */
  seconds: number;
  nodes: string[];
  errors: string[];
  web: boolean;
  /** Path of the module that it brings for this editor. */
  editor_module: string | null;
}

// -- nodes and system

export const objectInfo = (options?: RequestOptions) => getJson<JsonObject>("api/object_info", { timeout: 0, ...options });
export const systemStats = () => getJson<SystemStats>("api/system_stats");
export const embeddings = () => getJson<string[]>("api/embeddings");
export const freeMemory = () => sendJson("POST", "api/free", { unload_models: true, free_memory: true });

/** The node packs. `wait`: until the worker has imported them, so that all of their problems are known. */
export const listPacks = async ({ wait = true }: { wait?: boolean } = {}) =>
  (await getJson<{ packs: PackReport[] }>(`api/v1/packs${wait ? "" : "?wait=false"}`, { timeout: 90_000 })).packs;
export const reloadPacks = async (force: boolean) =>
  (await sendJson<{ packs: PackReport[] }>("POST", `api/v1/packs/reload${force ? "?force=true" : ""}`, undefined, { timeout: 90_000 })).packs;

// -- jobs

export const submitPrompt = (body: PromptBody) =>
  sendJson<PromptAnswer>("POST", "api/prompt", { client_id: clientId(), ...body }, { timeout: 120_000 });

export async function getQueue(): Promise<{ running: QueueEntry[]; pending: QueueEntry[] }> {
  type Row = [number, string, JsonObject, JsonObject, string[]];
  const found = await getJson<{ queue_running: Row[]; queue_pending: Row[] }>("api/queue");
  const entry = ([number, id, prompt, extra, outputs]: Row): QueueEntry => ({ id, number, prompt, extra, outputs });
  return { running: found.queue_running.map(entry), pending: found.queue_pending.map(entry) };
}

export interface JobQuery {
  status?: readonly JobStatus[];
  limit?: number;
  offset?: number;
}

export async function listJobs(
  { status, limit = 48, offset = 0 }: JobQuery,
  options?: RequestOptions,
): Promise<{ jobs: JobSummary[]; total: number; more: boolean }> {
  const query = new URLSearchParams({ limit: String(limit), offset: String(offset) });
  if (status) query.set("status", status.join(","));
  const found = await getJson<{ jobs: JobSummary[]; pagination: { total: number; has_more: boolean } }>(
    `api/jobs?${query}`,
    options,
  );
  return { jobs: found.jobs, total: found.pagination.total, more: found.pagination.has_more };
}

export const getJob = (id: string, options?: RequestOptions) => getJson<JobDetails>(`api/jobs/${encodeURIComponent(id)}`, options);
export const cancelJob = (id: string) => sendJson("POST", `api/jobs/${encodeURIComponent(id)}/cancel`);
export const interrupt = (id?: string) => sendJson("POST", "api/interrupt", id ? { prompt_id: id } : {});
export const deleteQueued = (ids: string[]) => sendJson("POST", "api/queue", { delete: ids });
export const clearQueue = () => sendJson("POST", "api/queue", { clear: true });
export const deleteHistory = (ids: string[]) => sendJson("POST", "api/history", { delete: ids });
export const clearHistory = () => sendJson("POST", "api/history", { clear: true });
export const queueState = () => getJson<QueueState>("api/v1/queue");
export const pauseQueue = () => sendJson<QueueState>("POST", "api/v1/queue/pause");
export const resumeQueue = () => sendJson<QueueState>("POST", "api/v1/queue/resume");
export const moveJobs = (ids: string[], place: { before?: string; front?: boolean }) =>
  sendJson<QueueState>("POST", "api/v1/queue/move", { ids, ...place });

// -- values of links

export interface OutputRef {
  job: string;
  node: string;
  slot: number;
}

const outputPath = ({ job, node, slot }: OutputRef) =>
  `api/v1/jobs/${encodeURIComponent(job)}/nodes/${encodeURIComponent(node)}/outputs/${slot}`;
export const describeOutput = (output: OutputRef, item = 0, options?: RequestOptions) =>
  getJson<ValueDescription>(`${outputPath(output)}?item=${item}`, options);
export const outputThumbnail = (output: OutputRef, item = 0) => `${outputPath(output)}?as=thumbnail&item=${item}`;

// -- files

/** Address of a file of the output, input or temp folder. `preview`: as a smaller WebP. */
export function viewUrl(file: FileRef, { preview = false, version }: { preview?: boolean | string; version?: string | number } = {}): string {
  const query = new URLSearchParams({ filename: file.filename, subfolder: file.subfolder ?? "", type: file.type || "output" });
  if (preview) query.set("preview", preview === true ? "webp;75" : preview);
  if (version !== undefined) query.set("rand", String(version));
  return `api/view?${query}`;
}

export function uploadImage(
  file: File | Blob,
  { name, subfolder = "", type = "input", overwrite = false }: { name?: string; subfolder?: string; type?: string; overwrite?: boolean } = {},
): Promise<{ name: string; subfolder: string; type: string }> {
  const form = new FormData();
  form.append("image", file, name ?? (file instanceof File ? file.name : "pasted.png"));
  form.append("subfolder", subfolder);
  form.append("type", type);
  if (overwrite) form.append("overwrite", "true");
  return sendJson("POST", "api/upload/image", form, { timeout: 0 });
}

/** A graph in another form: from JSON, or from a picture, video or audio file that carries one. */
export const convertGraph = (body: Blob | object, to: "prompt" | "workflow") =>
  sendJson<Converted>("POST", `api/v1/convert?to=${to}`, body, { timeout: 120_000 });

// -- what people keep on the server

export interface UserFile {
  path: string;
  size: number;
  modified: number;
}

const userPath = (path: string) => `api/userdata/${encodeURIComponent(path)}`;

/** Files below a folder of the user's; none when there is no such folder. */
export async function listUserFiles(dir: string): Promise<UserFile[]> {
  const query = new URLSearchParams({ dir, recurse: "true", split: "false", full_info: "true" });
  try {
    return await getJson<UserFile[]>(`api/userdata?${query}`);
  } catch (error) {
    if ((error as { status?: number }).status === 404) return [];
    throw error;
  }
}

export const readUserFile = async (path: string) => (await request(userPath(path))).text();

export const writeUserFile = (path: string, body: string | Blob, { overwrite = true }: { overwrite?: boolean } = {}) =>
  sendJson<UserFile>("POST", `${userPath(path)}?overwrite=${overwrite}&full_info=true`, body instanceof Blob ? body : new Blob([body]));
export const moveUserFile = (from: string, to: string, overwrite = false) =>
  sendJson<UserFile>("POST", `${userPath(from)}/move/${encodeURIComponent(to)}?overwrite=${overwrite}&full_info=true`);
export const deleteUserFile = (path: string) => sendJson("DELETE", userPath(path));

/** A saved workflow as programs see it, by the path of its file without `.json`: its parameters are JSON Schema. */
export const savedWorkflow = (name: string) =>
  getJson<{ parameters: { properties?: Record<string, { default?: Json }> } }>(`api/v1/workflows/${name.split("/").map(encodeURIComponent).join("/")}`);

export const getSettings = () => getJson<Record<string, unknown>>("api/settings");
export const putSetting = (id: string, value: unknown) => sendJson("POST", `api/settings/${encodeURIComponent(id)}`, value);

export const listTemplates = () => getJson<unknown>("templates/index.json");

// -- the log

export const logs = async () => (await getJson<{ entries: LogEntry[] }>("internal/logs/raw")).entries;
export const subscribeLogs = (enabled: boolean) => sendJson("PATCH", "internal/logs/subscribe", { enabled, clientId: clientId() });
