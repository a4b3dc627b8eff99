/** What the websocket says. */
import type { LogEntry } from "./schema.gen";
import type { ExecutionError } from "./calls";

export interface NodeProgress {
  value: number;
  max: number;
  state: "pending" | "running" | "finished" | "error";
  node_id: string;
  display_node_id: string;
  prompt_id: string;
}

interface OfJob {
  prompt_id: string;
}

export interface Messages {
  status: { status: { exec_info: { queue_remaining: number } }; sid?: string };
  feature_flags: Record<string, unknown>;
  execution_start: OfJob & { timestamp: number };
  execution_cached: OfJob & { nodes: string[] };
  executing: OfJob & { node: string | null; display_node: string | null };
  progress: OfJob & { value: number; max: number; node: string };
  progress_state: OfJob & { nodes: Record<string, NodeProgress> };
  executed: OfJob & { node: string; display_node: string; output: Record<string, unknown> };
  execution_success: OfJob & { timestamp: number };
  execution_error: OfJob & ExecutionError & { timestamp?: number };
  execution_interrupted: OfJob & { node_id: string; node_type: string };
  notification: { value: string };
  logs: { entries: LogEntry[] };
}

export type Message = { [Type in keyof Messages]: { type: Type; data: Messages[Type] } }[keyof Messages];

const OWN: Record<keyof Messages, true> = {
  status: true,
  feature_flags: true,
  execution_start: true,
  execution_cached: true,
  executing: true,
  progress: true,
  progress_state: true,
  executed: true,
  execution_success: true,
  execution_error: true,
  execution_interrupted: true,
  notification: true,
  logs: true,
};

/** Whether the server itself sends messages of this type; all others are from packs. */
export function isOwnMessage(type: string): type is keyof Messages {
  return Object.hasOwn(OWN, type);
}

/** An intermediate picture. `job` and `node` are missing when the server does not tell them. */
export interface PreviewMessage {
  job: string | null;
  node: string | null;
  picture: Blob;
}

export interface TextMessage {
  job: string | null;
  node: string;
  text: string;
}

const PREVIEW = 1;
const TEXT = 3;
const PREVIEW_WITH_METADATA = 4;

/** Reads a binary message; null for what is not known or damaged. */
export function readBinary(buffer: ArrayBuffer): { preview: PreviewMessage } | { text: TextMessage } | null {
  if (buffer.byteLength < 8) return null;
  const view = new DataView(buffer);
  const code = view.getUint32(0);
  if (code === PREVIEW) {
    const type = view.getUint32(4) === 2 ? "image/png" : "image/jpeg";
    return { preview: { job: null, node: null, picture: new Blob([buffer.slice(8)], { type }) } };
  }
  if (code === PREVIEW_WITH_METADATA) return readPreview(buffer, view.getUint32(4));
  if (code === TEXT) return readText(buffer, view);
  return null;
}

function readPreview(buffer: ArrayBuffer, length: number): { preview: PreviewMessage } | null {
  if (8 + length > buffer.byteLength) return null;
  try {
    const head = JSON.parse(decode(buffer, 8, length)) as Record<string, string>;
    const picture = new Blob([buffer.slice(8 + length)], { type: head["image_type"] ?? "image/jpeg" });
    return { preview: { job: head["prompt_id"] ?? null, node: head["display_node_id"] ?? head["node_id"] ?? null, picture } };
  } catch {
    return null;
  }
}

/** We announce `supports_progress_text_metadata`, so the job's id comes before the node's. */
function readText(buffer: ArrayBuffer, view: DataView): { text: TextMessage } | null {
  const ids: string[] = [];
  let at = 4;
  for (let count = 0; count < 2; count++) {
    if (at + 4 > buffer.byteLength) return null;
    const length = view.getUint32(at);
    if (at + 4 + length > buffer.byteLength) return null;
    ids.push(decode(buffer, at + 4, length));
    at += 4 + length;
  }
  return { text: { job: ids[0] ?? null, node: ids[1] ?? "", text: decode(buffer, at, buffer.byteLength - at) } };
}

const decode = (buffer: ArrayBuffer, start: number, length: number) =>
  new TextDecoder().decode(new Uint8Array(buffer, start, length));
