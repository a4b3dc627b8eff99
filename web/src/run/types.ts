/** What is known of runs, as the parts of the page read it. */
import type { Connection } from "@/api/socket";

export type NodeState = "waiting" | "running" | "finished" | "reused" | "error" | "skipped";
export type RunStatus = "idle" | "queued" | "running" | "done" | "failed" | "cancelled";

export interface NodeError {
  message: string;
  hint?: string;
  details?: string;
  type?: string;
  /** The input that is to blame. */
  input?: string;
  traceback?: string[];
  /** What the node was given, in short. */
  values?: Record<string, string>;
  /** Found before the run. */
  validation?: boolean;
}

export type Media = "image" | "video" | "audio" | "file";

export interface MediaFile {
  filename: string;
  subfolder: string;
  type: string;
  media: Media;
  animated?: boolean;
}

export interface NodeOutputs {
  images: MediaFile[];
  video: MediaFile[];
  audio: MediaFile[];
  files: MediaFile[];
  text: string[];
  raw: Record<string, unknown>;
}

export interface NodeRun {
  state?: NodeState;
  value?: number;
  max?: number;
  /** How long it took in the last run; 0 when it was reused. */
  seconds?: number;
  error?: NodeError;
  /** All problems found before the run; `error` is the first. */
  errors?: NodeError[];
  /** Address of an intermediate picture, while the node runs. */
  preview?: string;
  /** What the node says of its progress. */
  text?: string;
  /** Texts with choices as they ran, by the name of their widget. */
  texts?: Readonly<Record<string, string>>;
  /** What it showed last; stays until it shows something else. */
  outputs?: NodeOutputs;
  /** The job that the outputs are of. */
  outputsJob?: string;
}

export interface JobRun {
  jobId: string | null;
  status: RunStatus;
  /** 0 to 1. */
  progress: number;
  currentNode: string | null;
  error: (NodeError & { node?: string; nodeType?: string }) | null;
  /** Milliseconds since 1970. */
  startedAt: number | null;
  endedAt: number | null;
}

export interface TabRun extends JobRun {
  /** Jobs of this tab that have not ended, the oldest first. */
  jobs: readonly string[];
  nodes: Readonly<Record<string, NodeRun>>;
}

export interface RunState {
  connection: Connection;
  queue: { pending: number; running: number };
  paused: boolean;
  /** Grows whenever jobs came, moved or ended: lists are fetched again. */
  queueVersion: number;
  activeTab: string;
  tabs: Readonly<Record<string, TabRun>>;
}

export const NO_RUN: TabRun = {
  jobId: null,
  status: "idle",
  progress: 0,
  currentNode: null,
  error: null,
  startedAt: null,
  endedAt: null,
  jobs: [],
  nodes: {},
};
