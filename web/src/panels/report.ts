/** The text of an error report: what a person sends to those who can help. */
import type { JobDetails, SystemStats } from "@/api/calls";
import type { LogEntry } from "@/api/schema.gen";

const LOG_LINES = 40;

export interface Report {
  job: JobDetails | null;
  stats: SystemStats | null;
  log: readonly LogEntry[];
}

export function reportText({ job, stats, log }: Report): string {
  const error = job?.execution_error;
  const system = stats?.system ?? {};
  const lines = ["# Error report", ""];
  if (error) {
    lines.push(`Node ${error.node_id} (${error.node_type}): ${error.exception_type}`, "", error.exception_message.trim(), "");
    const inputs = Object.entries(error.current_inputs ?? {});
    if (inputs.length) lines.push("## Inputs", ...inputs.map(([name, values]) => `- ${name}: ${values.join(", ")}`), "");
    if (error.traceback?.length) lines.push("## Traceback", "```", error.traceback.join("").trimEnd(), "```", "");
  }
  lines.push("## System");
  for (const key of ["safelight_version", "python_version", "pytorch_version", "os", "platform"]) {
    if (system[key]) lines.push(`- ${key}: ${String(system[key])}`);
  }
  for (const { name, type } of stats?.devices ?? []) lines.push(`- device: ${name} (${type})`);
  if (log.length) lines.push("", "## Log", "```", ...log.slice(-LOG_LINES).map(({ t, m }) => `${t} ${m.trimEnd()}`), "```");
  return lines.join("\n");
}
