/** Saving workflows in the user's folder on the server, and as files of the browser. */
import { ApiError, getJson, request, sendJson } from "@/api/client";
import { saveWorkflow } from "@/graph/save";
import { getSetting, setSetting } from "@/app/settings/settings";
import { askText, chooseDialog, confirmDialog } from "@/app/ui/ask";
import { toast } from "@/app/ui/toast";
import { nameProblem } from "./names";
import { remember } from "./opening";
import { useUserFiles } from "./userFiles";
import { activeTab, isDirty, removeTab, updateTab, useWorkspace, type Tab } from "./workspace";

const FOLDER = "workflows/";

function url(path: string): string {
  return `api/userdata/${encodeURIComponent(FOLDER + path)}`;
}

function text(tab: Tab): string {
  return JSON.stringify(saveWorkflow(tab.store.getState().document), null, 2);
}

function failed(name: string, error: unknown): void {
  const away = error instanceof ApiError && error.status === 0;
  toast({
    kind: "danger",
    title: `“${name}” was not saved`,
    text: away ? "The server does not answer. Your changes stay in this browser; save again once it is back." : error instanceof Error ? error.message : String(error),
  });
}

async function write(tab: Tab, path: string, overwrite: boolean): Promise<void> {
  const revision = tab.store.getState().revision;
  await request(`${url(path)}?overwrite=${overwrite}&full_info=true`, { method: "POST", body: text(tab), headers: { "Content-Type": "application/json" } });
  // What was edited while the file travelled is not in it.
  if (tab.store.getState().revision === revision) tab.store.getState().markSaved();
  const name = path.replace(/\.json$/i, "").split("/").at(-1) ?? path;
  updateTab(tab.id, { path, name, unsaved: false });
  remember(path);
  void useUserFiles.getState().refresh();
}

/** Saves to the tab's file; asks for a name the first time. True if it was saved. */
export async function save(tab: Tab | null = activeTab()): Promise<boolean> {
  if (!tab) return false;
  if (tab.path === null) return saveAs(tab);
  try {
    await write(tab, tab.path, true);
    toast({ id: "saved", kind: "success", title: `Saved “${tab.name}”` });
    return true;
  } catch (error) {
    failed(tab.name, error);
    return false;
  }
}

/** Saves under a name that is asked for; never replaces a file unasked. */
export async function saveAs(tab: Tab | null = activeTab()): Promise<boolean> {
  if (!tab) return false;
  const before = tab.path?.replace(/\.json$/i, "") ?? tab.name;
  const name = await askText({ title: "Save workflow as", label: "Name", value: before, confirm: "Save", hint: "A slash makes a folder, as in portraits/first.", check: nameProblem });
  if (name === null) return false;
  return saveUnder(tab, `${name.replace(/\.json$/i, "")}.json`);
}

async function saveUnder(tab: Tab, path: string): Promise<boolean> {
  try {
    await write(tab, path, path === tab.path);
  } catch (error) {
    if (!(error instanceof ApiError && error.status === 409)) {
      failed(path, error);
      return false;
    }
    const choice = await chooseDialog({
      title: "Replace the file?",
      text: `“${path}” is already in your folder.`,
      choices: [
        { value: "other", label: "Choose another name" },
        { value: "replace", label: "Replace", variant: "danger" },
      ],
    });
    if (choice === "other") return saveAs(tab);
    if (choice !== "replace") return false;
    try {
      await write(tab, path, true);
    } catch (again) {
      failed(path, again);
      return false;
    }
  }
  toast({ id: "saved", kind: "success", title: `Saved “${path.replace(/\.json$/i, "")}”` });
  return true;
}

/** Renames the tab, and its file if it has one. */
export async function rename(tab: Tab | null = activeTab()): Promise<void> {
  if (!tab) return;
  const name = await askText({ title: "Rename workflow", label: "Name", value: tab.path?.replace(/\.json$/i, "") ?? tab.name, confirm: "Rename", check: nameProblem });
  if (name === null) return;
  if (tab.path === null) updateTab(tab.id, { name });
  else await renameFile(tab.path, `${name.replace(/\.json$/i, "")}.json`);
}

/** Moves a file of the user's folder; an open tab of it follows. */
export async function renameFile(from: string, to: string): Promise<boolean> {
  if (from === to) return true;
  try {
    await sendJson("POST", `${url(from)}/move/${encodeURIComponent(FOLDER + to)}?overwrite=false`);
    const name = to.replace(/\.json$/i, "").split("/").at(-1) ?? to;
    for (const tab of useWorkspace.getState().tabs) if (tab.path === from) updateTab(tab.id, { path: to, name });
    setSetting("recent", getSetting("recent").map((path) => (path === from ? to : path)));
    void useUserFiles.getState().refresh();
    return true;
  } catch (error) {
    const taken = error instanceof ApiError && error.status === 409;
    toast({ kind: "danger", title: "The file was not renamed", text: taken ? `“${to}” is already there.` : error instanceof Error ? error.message : String(error) });
    return false;
  }
}

/** Deletes a file of the user's folder. An open tab of it stays, marked as unsaved. */
export async function deleteFile(path: string): Promise<void> {
  const question = { title: "Delete the workflow?", text: `“${path}” is removed from your folder on the server.`, confirm: "Delete", danger: true };
  if (getSetting("workflow.confirmDelete") && !(await confirmDialog(question))) return;
  try {
    await request(url(path), { method: "DELETE" });
    for (const tab of useWorkspace.getState().tabs) if (tab.path === path) updateTab(tab.id, { path: null, unsaved: true });
    setSetting("recent", getSetting("recent").filter((other) => other !== path));
    void useUserFiles.getState().refresh();
    toast({ kind: "info", title: `Deleted “${path}”` });
  } catch (error) {
    toast({ kind: "danger", title: "The file was not deleted", text: error instanceof Error ? error.message : String(error) });
  }
}

/** Closes a tab; asks first if it has changes that no file has. True if it was closed. */
export async function closeTab(tab: Tab | null = activeTab()): Promise<boolean> {
  if (!tab) return false;
  if (isDirty(tab) && getSetting("workflow.confirmClose")) {
    const choice = await chooseDialog({
      title: `Save “${tab.name}” before closing?`,
      text: "It has changes that are not in a file. They are lost if you do not save them.",
      choices: [
        { value: "discard", label: "Don't save", variant: "danger" },
        { value: "cancel", label: "Cancel" },
        { value: "save", label: "Save", variant: "primary" },
      ],
    });
    if (choice === null || choice === "cancel") return false;
    if (choice === "save" && !(await save(tab))) return false;
  }
  removeTab(tab.id);
  return true;
}

/** Offers data as a download. */
export function download(data: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(data);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

function fileName(tab: Tab, suffix = ""): string {
  return `${tab.name.replace(/[\\/:*?"<>|]/g, "_")}${suffix}.json`;
}

/** Downloads the workflow form. */
export function exportWorkflow(tab: Tab | null = activeTab()): void {
  if (tab) download(new Blob([text(tab)], { type: "application/json" }), fileName(tab));
}

/** Downloads the prompt form (what the API takes), as the server makes it. */
export async function exportPrompt(tab: Tab | null = activeTab()): Promise<void> {
  if (!tab) return;
  try {
    const answer = await request("api/v1/convert?to=prompt", { method: "POST", body: text(tab), headers: { "Content-Type": "application/json" } });
    const { prompt, missing_node_types: missing } = (await answer.json()) as { prompt: unknown; missing_node_types?: string[] };
    download(new Blob([JSON.stringify(prompt, null, 2)], { type: "application/json" }), fileName(tab, ".api"));
    if (missing?.length) toast({ kind: "warning", title: "Exported with missing node types", text: missing.join(", ") });
  } catch (error) {
    toast({ kind: "danger", title: "The prompt was not exported", text: error instanceof Error ? error.message : String(error) });
  }
}

/** Writes any JSON into a folder of the user's, asking before a file is replaced. */
export async function saveUserJson(path: string, value: unknown): Promise<boolean> {
  const put = (overwrite: boolean) => request(`api/userdata/${encodeURIComponent(path)}?overwrite=${overwrite}`, { method: "POST", body: JSON.stringify(value, null, 2), headers: { "Content-Type": "application/json" } });
  try {
    await put(false);
    return true;
  } catch (error) {
    if (!(error instanceof ApiError && error.status === 409)) throw error;
  }
  if (!(await confirmDialog({ title: "Replace the file?", text: `“${path}” is already in your folder.`, confirm: "Replace", danger: true }))) return false;
  await put(true);
  return true;
}

/** JSON of the user's folder. */
export function readUserJson<T>(path: string): Promise<T> {
  return getJson<T>(`api/userdata/${encodeURIComponent(path)}`);
}
