/** Opening workflows of every kind: files, pictures that carry their graph, pasted text, templates, the user's folder. */
import { ApiError, getJson, request } from "@/api/client";
import { emptyDocument, LoadError, loadWorkflow } from "@/graph/load";
import { createDocumentStore } from "@/graph/store";
import { afterPaint } from "@/app/afterPaint";
import { getSetting, setSetting } from "@/app/settings/settings";
import { toast } from "@/app/ui/toast";
import { definitions } from "./definitions";
import { showMissing } from "./missing";
import { addTab, freeName, newTabId, UNTITLED, useWorkspace, activate } from "./workspace";

export interface Opened {
  name: string;
  json: unknown;
  /** Where it lies in the user's folder. */
  path?: string | null;
  /** Not in a file of the user's: marked as unsaved, so that it is not lost unasked. */
  unsaved?: boolean;
  /** Show all of it, whatever part its maker looked at last. */
  whole?: boolean;
}

/** Opens a workflow in a new tab. If it cannot be read, says why and changes nothing (null). */
export async function openWorkflow({ name, json, path = null, unsaved = false, whole = false }: Opened): Promise<string | null> {
  try {
    const { document, missingTypes, problems } = loadWorkflow(await inWorkflowForm(json), definitions());
    const id = newTabId();
    const store = createDocumentStore({ document: whole ? { ...document, view: null } : document, definitions: definitions() });
    addTab({ id, name: path === null ? freeName(name) : name, path, store, unsaved }, { replaceBlank: true });
    if (getSetting("workflow.missingReport")) showMissing(missingTypes, name);
    if (problems.length > 0) reportOddities(name, problems);
    void afterPaint()
      .then(() => import("./checking"))
      .then(({ checkSaved }) => checkSaved(id, name, store));
    return id;
  } catch (error) {
    reportUnreadable(name, error);
    return null;
  }
}

function reportOddities(name: string, problems: readonly { message: string }[]): void {
  const shown = problems.slice(0, 3).map((problem) => problem.message);
  if (problems.length > 3) shown.push(`and ${problems.length - 3} more`);
  toast({ kind: "warning", title: `“${name}” was opened, with some oddities`, text: shown.join("\n") });
}

/** A prompt is laid out by the server; everything else goes to the loader as it is. */
async function inWorkflowForm(json: unknown): Promise<unknown> {
  try {
    loadWorkflow(json, definitions());
    return json;
  } catch (error) {
    if (!(error instanceof LoadError) || error.kind !== "prompt") throw error;
    return (await (await reader()).convert(new Blob([JSON.stringify(json)], { type: "application/json" }))).json;
  }
}

/** What is wrong with a file, in words; the open workflows stay as they are. */
function reportUnreadable(name: string, error: unknown): void {
  const hint = error instanceof LoadError ? error.hint : "";
  const message = error instanceof Error ? error.message : String(error);
  const away = error instanceof ApiError && error.status === 0;
  toast({
    kind: "danger",
    title: `“${name}” was not opened`,
    text: away ? "The server is needed to read this kind of file, and it does not answer. Nothing was changed." : [message, hint, "Nothing was changed."].filter(Boolean).join(" "),
  });
}

/** What reads files other than plain JSON, with the server's help. */
export const reader = () => import("./reading");

/** Opens a file of any kind that can carry a graph. */
export async function openFile(file: Blob, name: string): Promise<string | null> {
  const title = name.replace(/\.[^.]+$/, "");
  try {
    const { readFile, tellNotes } = await reader();
    const { json, notes } = await readFile(file, name);
    const id = await openWorkflow({ name: title, json });
    if (id !== null) tellNotes(title, notes);
    return id;
  } catch (error) {
    if (file.type.startsWith("image/") && error instanceof ApiError && error.type === "no_graph_in_file") offerAsInput(file, name);
    else reportUnreadable(name, error);
    return null;
  }
}

function offerAsInput(file: Blob, name: string): void {
  toast({
    kind: "info",
    title: `“${name}” carries no workflow`,
    text: "Pictures made here and by ComfyUI do, unless their metadata was removed.",
    actions: [{ label: "Use as input image", run: () => void import("./inputImage").then(({ addInputImage }) => addInputImage(file, name)) }],
  });
}

/** Opens the text of a workflow, of a prompt, or of a web UI's settings from the clipboard. */
export async function openText(text: string, name: string): Promise<string | null> {
  try {
    const { readText, tellNotes } = await reader();
    const { json, notes } = await readText(text);
    const id = await openWorkflow({ name, json, unsaved: true });
    if (id !== null) tellNotes(name, notes);
    return id;
  } catch (error) {
    reportUnreadable(name, error);
    return null;
  }
}

/** Opens a file of the user's folder, or shows the tab that has it open. */
export async function openPath(path: string): Promise<string | null> {
  const open = useWorkspace.getState().tabs.find((tab) => tab.path === path);
  const name = path.replace(/\.json$/i, "").split("/").at(-1) ?? path;
  if (open) {
    activate(open.id);
    return open.id;
  }
  try {
    const text = await (await request(`api/userdata/${encodeURIComponent(`workflows/${path}`)}`)).text();
    const { readText, tellNotes } = await reader();
    const { json, notes } = await readText(text);
    const id = await openWorkflow({ name, json, path });
    if (id !== null) remember(path);
    if (id !== null) tellNotes(name, notes);
    return id;
  } catch (error) {
    reportUnreadable(name, error);
    return null;
  }
}

/** Puts a path at the head of the recent list. */
export function remember(path: string): void {
  setSetting("recent", [path, ...getSetting("recent").filter((other) => other !== path)].slice(0, 12));
}

/** Opens one of the workflows that come with the server or with a pack, by the path of its file on the server. */
export async function openTemplate(path: string, title: string): Promise<string | null> {
  try {
    return await openWorkflow({ name: title, json: await getJson<unknown>(path), whole: true });
  } catch (error) {
    reportUnreadable(title, error);
    return null;
  }
}

export function openDefaultWorkflow(): Promise<string | null> {
  return openTemplate("templates/text_to_image.json", "Text to image");
}

export function newWorkflow(): string {
  const id = newTabId();
  addTab({ id, name: freeName(UNTITLED), path: null, store: createDocumentStore({ document: emptyDocument(), definitions: definitions() }), unsaved: false });
  return id;
}
