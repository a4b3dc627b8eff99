/** The node definitions of the server, shared by all tabs. */
import { create } from "zustand";
import { getJson } from "@/api/client";
import { parseDefinitions, type Definitions } from "@/graph/definitions";
import { toast } from "@/app/ui/toast";
import { useWorkspace } from "./workspace";

interface DefinitionsState {
  definitions: Definitions;
  state: "loading" | "ready" | "failed";
  /** Definitions that could not be read, by type. */
  problems: readonly { type: string; message: string }[];
}

export const useDefinitions = create<DefinitionsState>(() => ({ ...parsed({}), state: "loading" }));

function parsed(objectInfo: unknown): Pick<DefinitionsState, "definitions" | "problems"> {
  const { definitions, problems } = parseDefinitions(objectInfo);
  return { definitions, problems };
}

export function definitions(): Definitions {
  return useDefinitions.getState().definitions;
}

/** Reads the definitions anew and gives them to every open workflow; false if the server did not answer. */
export async function refreshDefinitions(): Promise<boolean> {
  try {
    const next = parsed(await getJson<unknown>("api/object_info", { timeout: 60_000 }));
    useDefinitions.setState({ ...next, state: "ready" });
    for (const tab of useWorkspace.getState().tabs) tab.store.getState().setDefinitions(next.definitions);
    reportProblems(next.problems);
    return true;
  } catch {
    useDefinitions.setState((before) => ({ state: before.state === "ready" ? "ready" : "failed" }));
    return false;
  }
}

function reportProblems(problems: readonly { type: string; message: string }[]): void {
  if (problems.length === 0) return;
  const shown = problems.slice(0, 4).map(({ type, message }) => `${type}: ${message}`);
  const more = problems.length > 4 ? `\nand ${problems.length - 4} more` : "";
  toast({ id: "definitions", kind: "warning", title: `${problems.length === 1 ? "A node definition" : `${problems.length} node definitions`} could not be read`, text: shown.join("\n") + more });
}
