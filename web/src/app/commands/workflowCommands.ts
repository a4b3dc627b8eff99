import { loadWorkflow } from "@/graph/load";
import { saveWorkflow } from "@/graph/save";
import { chooseFiles } from "@/workflows/chooseFiles";
import { newWorkflow, openDefaultWorkflow, openWorkflow } from "@/workflows/opening";
import { closeTab, exportPrompt, exportWorkflow, readUserJson, rename, save, saveAs } from "@/workflows/saving";
import { activeTab, stepTab, useWorkspace } from "@/workflows/workspace";
import { definitions } from "@/workflows/definitions";
import { refreshFromServer } from "../refresh";
import { openPanel } from "../shell/shellState";
import { toast } from "../ui/toast";
import type { Command } from "./registry";

const open = () => activeTab() !== null;

async function duplicateTab(): Promise<void> {
  const tab = activeTab();
  if (tab) await openWorkflow({ name: `${tab.name} copy`, json: saveWorkflow(tab.store.getState().document), unsaved: true });
}

/** Takes the graph of the file again, as one step that can be undone. */
async function revert(): Promise<void> {
  const tab = activeTab();
  if (!tab?.path) return;
  try {
    const { document } = loadWorkflow(await readUserJson<unknown>(`workflows/${tab.path}`), definitions());
    tab.store.getState().replaceDocument(document);
  } catch (error) {
    toast({ kind: "danger", title: "The file was not read", text: error instanceof Error ? error.message : String(error) });
  }
}

export const workflowCommands: readonly Command[] = [
  { id: "workflow.new", title: "New workflow", group: "Workflow", icon: "newFile", keys: ["Alt+N"], run: () => newWorkflow() },
  { id: "workflow.open", title: "Open file…", group: "Workflow", icon: "folderOpen", keys: ["Mod+O"], words: "import load picture png json", run: () => chooseFiles() },
  { id: "workflow.browse", title: "Your workflows", group: "Workflow", icon: "folder", run: () => openPanel("workflows") },
  { id: "workflow.templates", title: "Browse templates", group: "Workflow", icon: "templates", run: () => openPanel("templates") },
  { id: "workflow.default", title: "Load the default workflow", group: "Workflow", run: openDefaultWorkflow },
  { id: "workflow.save", title: "Save", group: "Workflow", icon: "save", keys: ["Mod+S"], inFields: true, when: open, run: () => save() },
  { id: "workflow.saveAs", title: "Save as…", group: "Workflow", keys: ["Mod+Shift+S"], inFields: true, when: open, run: () => saveAs() },
  { id: "workflow.rename", title: "Rename workflow…", group: "Workflow", icon: "pencil", when: open, run: () => rename() },
  { id: "workflow.duplicate", title: "Duplicate workflow", group: "Workflow", icon: "duplicate", when: open, run: duplicateTab },
  { id: "workflow.revert", title: "Back to the saved file", group: "Workflow", icon: "reset", words: "revert reload", when: () => activeTab()?.path != null, run: revert },
  { id: "workflow.export", title: "Export workflow", group: "Workflow", icon: "exportFile", words: "download json", when: open, run: () => exportWorkflow() },
  { id: "workflow.exportPrompt", title: "Export for the API", group: "Workflow", icon: "share", words: "download prompt json api format", when: open, run: () => exportPrompt() },
  { id: "workflow.close", title: "Close workflow", group: "Workflow", icon: "close", keys: ["Alt+W"], when: open, run: () => closeTab() },
  { id: "workflow.next", title: "Next workflow", group: "Workflow", keys: ["Alt+PageDown"], when: () => useWorkspace.getState().tabs.length > 1, run: () => stepTab(1) },
  { id: "workflow.previous", title: "Previous workflow", group: "Workflow", keys: ["Alt+PageUp"], when: () => useWorkspace.getState().tabs.length > 1, run: () => stepTab(-1) },
  { id: "app.refresh", title: "Refresh node definitions", group: "Application", icon: "refresh", keys: ["R"], words: "models reload nodes", run: () => refreshFromServer() },
];
