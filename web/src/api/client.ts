/** Requests to the server. Paths are relative to the page, so that the editor works behind any path prefix. */

export interface InputProblem {
  type: string;
  message: string;
  details: string;
  extra_info: { input_name?: string; received_value?: unknown; hint?: string; expected?: string };
}

/** Node id of the prompt form → what is wrong with the node. */
export type NodeErrors = Record<string, { errors: InputProblem[]; class_type: string; dependent_outputs: string[] }>;

/** The server refused, failed, or could not be reached (`status` 0). `message` is for people. */
export class ApiError extends Error {
  readonly status: number;
  readonly type: string;
  readonly details: string;
  readonly nodeErrors: NodeErrors;

  constructor(status: number, type: string, message: string, details = "", nodeErrors: NodeErrors = {}) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.type = type;
    this.details = details;
    this.nodeErrors = nodeErrors;
  }
}

export interface RequestOptions {
  signal?: AbortSignal | undefined;
  /** Milliseconds; 0: wait as long as it takes. */
  timeout?: number;
}

export const TIMEOUT = 30_000;

/** The answer to a request. Throws ApiError for every refusal, and when nobody answers. */
export async function request(path: string, init: RequestInit = {}, options: RequestOptions = {}): Promise<Response> {
  const timeout = options.timeout ?? TIMEOUT;
  const signals = [options.signal, timeout ? AbortSignal.timeout(timeout) : null].filter((one) => one !== undefined && one !== null);
  let answer: Response;
  try {
    answer = await fetch(path, { cache: "no-cache", ...init, signal: signals.length ? AbortSignal.any(signals) : null });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw unreachable(error);
  }
  if (!answer.ok) throw await refusal(answer);
  return answer;
}

/** The JSON of an answer; undefined when it is empty. */
export async function getJson<T>(path: string, options?: RequestOptions): Promise<T> {
  return readJson<T>(await request(path, {}, options));
}

/** Sends `body` as JSON (a Blob or FormData as it is) and gives the JSON of the answer; undefined when it is empty. */
export async function sendJson<T = undefined>(
  method: "POST" | "PUT" | "PATCH" | "DELETE",
  path: string,
  body?: unknown,
  options?: RequestOptions,
): Promise<T> {
  const init: RequestInit = { method };
  if (body instanceof Blob || body instanceof FormData) init.body = body;
  else if (body !== undefined) {
    init.body = JSON.stringify(body);
    init.headers = { "Content-Type": "application/json" };
  }
  return readJson<T>(await request(path, init, options));
}

async function readJson<T>(answer: Response): Promise<T> {
  const text = await answer.text();
  if (text === "") return undefined as T;
  try {
    return JSON.parse(text) as T;
  } catch {
    throw new ApiError(answer.status, "no_json", "The server answered with something that is not JSON.");
  }
}

function unreachable(error: unknown): ApiError {
  if (error instanceof DOMException && error.name === "TimeoutError") {
    return new ApiError(0, "timeout", "The server did not answer in time. It may be busy; try again.");
  }
  return new ApiError(0, "unreachable", "The server cannot be reached. Is it still running?");
}

async function refusal(answer: Response): Promise<ApiError> {
  const fallback = `The server answered ${answer.status} ${answer.statusText}`.trim() + ".";
  try {
    const body = (await answer.json()) as { error?: unknown; node_errors?: NodeErrors };
    const error = body.error;
    if (typeof error === "string") return new ApiError(answer.status, "error", error);
    const { type, message, details } = (error ?? {}) as { type?: string; message?: string; details?: string };
    return new ApiError(answer.status, type ?? "error", message ?? fallback, details ?? "", body.node_errors ?? {});
  } catch {
    return new ApiError(answer.status, "error", fallback);
  }
}
