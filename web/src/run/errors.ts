/** Errors in one form, whether the server found them before the run or a node met them. */
import type { ExecutionError } from "@/api/calls";
import type { InputProblem, NodeErrors } from "@/api/client";
import type { NodeError } from "./types";

export function fromProblem(problem: InputProblem): NodeError {
  const { input_name: input, hint, received_value: received } = problem.extra_info ?? {};
  const error: NodeError = { message: problem.message, type: problem.type, validation: true };
  if (problem.details && problem.details !== input) error.details = problem.details;
  if (input) error.input = input;
  if (hint) error.hint = hint;
  if (!error.details && received !== undefined && received !== null && typeof received !== "object") error.details = `Got ${JSON.stringify(received)}`;
  return error;
}

export function fromExecution(error: ExecutionError): NodeError {
  const lines = error.exception_message.split("\n");
  const hint = error.hint ?? "";
  const rest = lines.slice(1).filter((line) => line !== "" && line !== hint);
  return {
    message: lines[0] ?? "The node failed.",
    type: error.exception_type,
    ...(rest.length ? { details: rest.join("\n") } : {}),
    ...(hint ? { hint } : {}),
    ...(error.input_name ? { input: error.input_name } : {}),
    ...(error.traceback?.length ? { traceback: error.traceback } : {}),
    ...(error.current_inputs ? { values: joined(error.current_inputs) } : {}),
  };
}

/** Node id → all its problems. */
export function byNode(errors: NodeErrors): Record<string, NodeError[]> {
  const found: Record<string, NodeError[]> = {};
  for (const [id, entry] of Object.entries(errors)) {
    const list = (entry.errors ?? []).map(fromProblem);
    if (list.length) found[id] = list;
  }
  return found;
}

function joined(inputs: Record<string, string[]>): Record<string, string> {
  return Object.fromEntries(Object.entries(inputs).map(([name, values]) => [name, values.join(", ")]));
}
