// Made by scripts/types.mjs from openapi.json. Do not edit.

/** Body of POST /jobs/cancel. */
export type Cancel = {
  job_ids?: string[];
};

/** A graph in the prompt form, in the saved form too where there is one, and what stands in the way of using it. */
export type Converted = {
  missing_node_types: string[];
  problems: Problem[];
  prompt: Record<string, unknown>;
  workflow?: Record<string, unknown> | null;
};

/** A file or folder of a tree listing. */
export type Entry = {
  created?: number | null;
  modified?: number | null;
  name: string;
  path: string;
  size?: number | null;
  type: string;
};

/** Body of POST /free. */
export type Free = {
  free_memory?: boolean;
  unload_models?: boolean;
};

/** Counts of numbers in bins of equal width from `low` to `high`. */
export type Histogram = {
  counts: number[];
  high: number;
  low: number;
};

/** Body of POST /interrupt: the running job with this id, or every one that runs. */
export type Interrupt = {
  prompt_id?: string | null;
};

/** The entries of the log, and the size of the terminal that would show them. */
export type Log = {
  entries: LogEntry[];
  size: Record<string, number>;
};

/** One line (`m`, which ends in a line break) and its time (`t`, ISO 8601 in UTC). */
export type LogEntry = {
  m: string;
  t: string;
};

/** A model file. `path_index` tells in which of the folder's places it is; times in seconds since 1970. */
export type ModelFile = {
  created: number;
  modified: number;
  name: string;
  pathIndex: number;
  size: number;
};

/** A kind of model, and where its files are looked for. */
export type ModelFolder = {
  folders: string[];
  name: string;
};

/** Body of POST /api/v1/queue/move: put the jobs, in this order, before another, at the front, or else at the end. */
export type Move = {
  before?: string | null;
  front?: boolean;
  ids: string[];
};

/** One entry of a dict, a list or a handle, in a few words. */
export type Part = {
  name: string;
  summary: string;
};

export type Problem = {
  error: {
    details: string;
    extra_info: Record<string, unknown>;
    /** For people: what was expected, what came, what to do. */
    message: string;
    /** A word in snake_case, for programs. */
    type: string;
  };
  /** Node id → what is wrong with its inputs. */
  node_errors: Record<string, unknown>;
};

/** Body of POST /queue and POST /history. */
export type QueueChange = {
  clear?: boolean;
  delete?: string[];
};

/** Where an uploaded file is. */
export type Stored = {
  name: string;
  subfolder: string;
  type: string;
};

/** Who wants to be sent the log, or no longer. */
export type Subscription = {
  clientId: string;
  enabled: boolean;
};

/** A value in words and numbers. Of a value with several tensors, the numbers are those of its main one. */
export type ValueDescription = {
  bytes?: number;
  cut?: boolean;
  device?: string;
  dtype?: string;
  histogram?: Histogram | null;
  is_list?: boolean;
  item?: number;
  kind: "audio" | "boolean" | "conditioning" | "image" | "latent" | "mask" | "model" | "number" | "other" | "tensor" | "text";
  length?: number;
  max?: number | null;
  mean?: number | null;
  min?: number | null;
  not_finite?: number;
  numbers?: number[] | null;
  parts?: Part[];
  picture?: boolean;
  shape?: number[] | null;
  std?: number | null;
  summary: string;
  text?: string | null;
  type?: string;
  value?: unknown;
};

/** What each operation answers. */
export interface Answers {
  /** Convert a graph between the prompt form and the saved workflow form. */
  post_api_v1_convert: Converted;
  /** This description, for people */
  get_api_v1_docs: Blob;
  /** A value that travelled on a link: in words and numbers, or (`as=thumbnail`) as a small WebP. */
  get_api_v1_jobs_job_nodes_node_outputs_slot: ValueDescription;
  /** Whether the queue is paused, and how many jobs wait and run. */
  get_api_v1_queue: {
    paused?: boolean;
    pending?: number;
    running?: number;
  };
  /** Reorder jobs that wait. */
  post_api_v1_queue_move: {
    paused?: boolean;
    pending?: number;
    running?: number;
  };
  /** Start no further job until the queue is resumed; kept over restarts. */
  post_api_v1_queue_pause: {
    paused?: boolean;
    pending?: number;
    running?: number;
  };
  /** Go on after a pause. */
  post_api_v1_queue_resume: {
    paused?: boolean;
    pending?: number;
    running?: number;
  };
  /** The embeddings that a prompt can name. */
  get_embeddings: string[];
  /** The kinds of models, with their folders. */
  get_experiment_models: ModelFolder[];
  /** The picture beside or inside a model file. */
  get_experiment_models_preview_folder_index_file: Blob;
  /** The model files of a kind. */
  get_experiment_models_folder: ModelFile[];
  /** Paths of the scripts that the editor imports. */
  get_extensions: string[];
  /** What this server can do, by flag. */
  get_features: Record<string, unknown>;
  /** Have the workers drop loaded models, and values kept in memory. */
  post_free: undefined;
  /** Subgraphs that packs offer, by id. */
  get_global_subgraphs: Record<string, unknown>;
  /** Whether jobs are accepted and run: status 200, or 503 with `problems`. */
  get_health: {
    problems: string[];
    queue?: Record<string, unknown>;
    status: "ok" | "failing";
    uptime_seconds?: number;
    version?: string;
    workers?: (Record<string, unknown>)[];
  };
  /** Jobs that have ended, oldest first; `max_items` without `offset` means the newest ones. */
  get_history: Record<string, {
    meta: Record<string, unknown>;
    nodes?: Record<string, unknown>;
    outputs: Record<string, unknown>;
    prompt: unknown[];
    status: {
      completed?: boolean;
      messages?: unknown[];
      status_str?: "success" | "error";
    };
  }>;
  /** Delete entries: all (`clear`), or those in `delete`. Their pictures stay. */
  post_history: undefined;
  /** One job that has ended, or `{}`. */
  get_history_prompt_id: Record<string, {
    meta: Record<string, unknown>;
    nodes?: Record<string, unknown>;
    outputs: Record<string, unknown>;
    prompt: unknown[];
    status: {
      completed?: boolean;
      messages?: unknown[];
      status_str?: "success" | "error";
    };
  }>;
  /** Translations that node packs bring, by language. */
  get_i18n: Record<string, unknown>;
  /** The names of files, newest first. */
  get_internal_files_kind: string[];
  /** Where files are looked for, by kind. */
  get_internal_folder_paths: Record<string, string[]>;
  /** The log as one text. */
  get_internal_logs: string;
  /** The entries of the log. */
  get_internal_logs_raw: Log;
  /** Send new entries of the log to a websocket client, or stop it. */
  patch_internal_logs_subscribe: undefined;
  /** Stop the job that runs; with `prompt_id`, only if it is that one. */
  post_interrupt: undefined;
  /** Jobs, newest first. */
  get_jobs: {
    jobs: {
      /** Milliseconds since 1970, as the other times. */
      create_time: number;
      execution_end_time?: number;
      execution_error?: Record<string, unknown>;
      execution_start_time?: number;
      id: string;
      outputs_count?: number;
      preview_output?: Record<string, unknown>;
      priority?: number;
      status: "pending" | "in_progress" | "completed" | "failed" | "cancelled";
      workflow_id?: string;
    }[];
    pagination: {
      has_more?: boolean;
      limit?: number;
      offset?: number;
      total?: number;
    };
  };
  /** Cancel several jobs. */
  post_jobs_cancel: {
    cancelled?: boolean;
  };
  /** One job with its graph and outputs. */
  get_jobs_job_id: {
    /** Milliseconds since 1970, as the other times. */
    create_time: number;
    execution_end_time?: number;
    execution_error?: Record<string, unknown>;
    execution_start_time?: number;
    id: string;
    outputs_count?: number;
    preview_output?: Record<string, unknown>;
    priority?: number;
    status: "pending" | "in_progress" | "completed" | "failed" | "cancelled";
    workflow_id?: string;
  };
  /** Cancel a job that waits or runs. */
  post_jobs_job_id_cancel: {
    cancelled?: boolean;
  };
  /** The log as one text. */
  get_logs: string;
  /** Counters and gauges for Prometheus. */
  get_metrics: Blob;
  /** The kinds of models. */
  get_models: string[];
  /** The model files of a kind. */
  get_models_folder: string[];
  /** Nodes that take the place of others, by name. */
  get_node_replacements: Record<string, unknown>;
  /** The definitions of all nodes. */
  get_object_info: Record<string, unknown>;
  /** The definition of one node; an empty object when there is none of that name. */
  get_object_info_node_class: Record<string, unknown>;
  /** This description, for programs */
  get_openapi_json: Record<string, unknown>;
  /** How many jobs have not ended. */
  get_prompt: {
    exec_info?: {
      queue_remaining?: number;
    };
  };
  /** Queue a graph: a prompt, a saved workflow, or a picture, video or audio file that carries one. */
  post_prompt: {
    node_errors: Record<string, unknown>;
    number: number;
    prompt_id: string;
  };
  /** Jobs that run and jobs that wait, the next one first. */
  get_queue: {
    queue_pending?: unknown[][];
    queue_running?: unknown[][];
  };
  /** Take jobs that wait out of the queue: all (`clear`), or those in `delete`. */
  post_queue: undefined;
  /** All settings. */
  get_settings: Record<string, unknown>;
  /** Set these settings and keep the others. */
  post_settings: undefined;
  /** One setting; null when it is not set. */
  get_settings_id: unknown;
  /** Set one setting to a JSON value. */
  post_settings_id: undefined;
  /** Versions, memory and devices. */
  get_system_stats: Record<string, unknown>;
  /** The templates by category. */
  get_templates_index_json: unknown[];
  /** A template (NAME.json) or its picture (NAME-1.png). */
  get_templates_name: Blob;
  /** Save a file in the input folder; a name that is taken gets a number, unless the file is equal. */
  post_upload_image: Stored;
  /** Save a picture of ours with the alpha of the uploaded one. */
  post_upload_mask: Stored;
  /** The files in a folder of the user's. */
  get_userdata: unknown[];
  /** Delete a file of the user's. */
  delete_userdata_file: undefined;
  /** A file of the user's. */
  get_userdata_file: Blob;
  /** Write a file of the user's, whole or not at all. */
  post_userdata_file: string | Record<string, unknown>;
  /** Rename a file of the user's. */
  post_userdata_file_move_dest: string | Record<string, unknown>;
  /** Whose data is kept: one user's, on the server. */
  get_users: Record<string, unknown>;
  /** Refused: there is one user. */
  post_users: undefined;
  /** The files and folders in a folder of the user's. */
  get_v2_userdata: Entry[];
  /** A file of the output, temp or input folder, with ranges; a picture also converted. */
  get_view: Blob;
  /** The metadata in the header of a safetensors file. */
  get_view_metadata_folder: Record<string, string>;
  /** A file of the output, temp or input folder, as it is. */
  get_viewvideo: Blob;
  /** Example workflows of node packs: pack → names. */
  get_workflow_templates: Record<string, unknown>;
  /** The websocket: status of the queue for all, messages of a job for the client that posted it. */
  get_ws: undefined;
}

/** What each operation takes. */
export interface Bodies {
  post_api_v1_convert: Record<string, unknown>;
  post_api_v1_queue_move: Move;
  post_free: Free;
  post_history: QueueChange;
  patch_internal_logs_subscribe: Subscription;
  post_interrupt: Interrupt;
  post_jobs_cancel: Cancel;
  post_prompt: {
    /** The websocket client that hears of the job. */
    client_id?: string;
    extra_data?: {
      extra_pnginfo?: Record<string, unknown>;
    };
    /** Go before all jobs that wait. */
    front?: boolean;
    /** Place in the queue: lower ones first. */
    number?: number;
    partial_execution_targets?: string[];
    /** The prompt form of a graph: node id → node. */
    prompt: Record<string, {
      _meta?: Record<string, unknown>;
      class_type: string;
      inputs?: Record<string, unknown>;
    }>;
    /** The job's id; one is made when it is left out. */
    prompt_id?: string;
  };
  post_queue: QueueChange;
  post_settings: Record<string, unknown>;
  post_settings_id: unknown;
  post_upload_image: Blob;
  post_upload_mask: Blob;
  post_userdata_file: Blob;
  post_users: {
    username?: string;
  };
}
