/** `window.safelight`: the editor for scripts in the browser's console, and for its tests. */
import { activeCanvas } from "@/canvas/handle";
import * as edits from "@/graph/edits";
import { saveWorkflow } from "@/graph/save";
import type { DocumentStore } from "@/graph/store";
import type { JsonObject } from "@/graph/types";
import { openWorkflow } from "@/workflows/opening";
import { activeStore } from "@/workflows/workspace";
import { allCommands, isEnabled, runCommand } from "./commands/registry";

function store(): DocumentStore {
  const found = activeStore();
  if (!found) throw new Error("No workflow is open yet.");
  return found;
}

const scripting = {
  /** The document in view, as a zustand store; change it with `store().getState().edit(label, draft => …)`. */
  store,
  canvas: activeCanvas,
  edits,
  /** The workflow in view in the form of its file. */
  workflow: (): JsonObject => saveWorkflow(store().getState().document),
  open: (json: unknown, name = "Workflow") => openWorkflow({ name, json }),
  /** Ids of the commands that can be used now. */
  commands: (): string[] => allCommands().filter(isEnabled).map(({ id }) => id),
  run: runCommand,
};

export function startScripting(): void {
  (window as Window & { safelight?: typeof scripting }).safelight = scripting;
}
