/** Keeps every tab in the browser as it is edited, so that a reload, a crash or a server that is away loses nothing. */
import { loadWorkflow } from "@/graph/load";
import { saveWorkflow } from "@/graph/save";
import { createDocumentStore } from "@/graph/store";
import { toast } from "@/app/ui/toast";
import { allRecords, deleteRecords, putRecord, type TabRecord } from "./database";
import { definitions } from "./definitions";
import { inherit } from "./inherit";
import { isDirty, useWorkspace, type Tab } from "./workspace";
import { claimWindow, livingWindows } from "./windows";

const DELAY_MS = 600;

let windowId = "";
let failing = false;
const watched = new Map<string, () => void>();
const waiting = new Map<string, ReturnType<typeof setTimeout>>();

function record(tab: Tab, order: number): TabRecord {
  const { activeId } = useWorkspace.getState();
  return { window: windowId, id: tab.id, name: tab.name, path: tab.path, json: saveWorkflow(tab.store.getState().document), unsaved: isDirty(tab), active: tab.id === activeId, order, at: Date.now() };
}

async function keep(id: string): Promise<void> {
  clearTimeout(waiting.get(id));
  waiting.delete(id);
  const { tabs } = useWorkspace.getState();
  const order = tabs.findIndex((tab) => tab.id === id);
  const tab = tabs[order];
  if (!tab) return;
  try {
    await putRecord(record(tab, order));
    failing = false;
  } catch {
    if (!failing) toast({ id: "autosave", kind: "warning", title: "This browser keeps no copy of your work", text: "Its storage is full or switched off. Save your workflows to the server (Ctrl+S).", lasting: true });
    failing = true;
  }
}

function keepSoon(id: string): void {
  clearTimeout(waiting.get(id));
  waiting.set(id, setTimeout(() => void keep(id), DELAY_MS));
}

/** Writes what is waiting: the page may be going away. */
export function keepNow(): void {
  for (const id of [...waiting.keys()]) void keep(id);
}

function watch(tabs: readonly Tab[]): void {
  for (const tab of tabs) {
    if (watched.has(tab.id)) continue;
    watched.set(
      tab.id,
      tab.store.subscribe((state, before) => {
        if (state.document !== before.document || state.dirty !== before.dirty) keepSoon(tab.id);
      }),
    );
    keepSoon(tab.id);
  }
  const open = new Set(tabs.map((tab) => tab.id));
  for (const [id, stop] of watched) {
    if (open.has(id)) continue;
    stop();
    watched.delete(id);
    clearTimeout(waiting.get(id));
    waiting.delete(id);
    void deleteRecords([{ window: windowId, id }]).catch(() => undefined);
  }
}

/** Opens what was open before in this window, or in one that is gone; true if there was anything. */
export async function restoreTabs(): Promise<boolean> {
  try {
    windowId = await claimWindow();
    const found = await mine();
    return openRecords(found);
  } catch {
    windowId ||= "only";
    return false;
  }
}

/** The records of this window, else what windows that are gone have left. */
async function mine(): Promise<readonly TabRecord[]> {
  const all = await allRecords();
  const own = all.filter((one) => one.window === windowId);
  if (own.length > 0) return own;
  const alive = await livingWindows();
  const { taken, dropped } = inherit(all.filter((one) => !alive.has(one.window)));
  for (const one of taken) await putRecord({ ...one, window: windowId });
  await deleteRecords([...taken, ...dropped]);
  return taken;
}

function openRecords(records: readonly TabRecord[]): boolean {
  const tabs: Tab[] = [];
  const broken: string[] = [];
  for (const { id, name, path, json, unsaved } of records) {
    try {
      const { document } = loadWorkflow(json, definitions());
      tabs.push({ id, name, path, unsaved, store: createDocumentStore({ document, definitions: definitions() }) });
    } catch {
      broken.push(name);
    }
  }
  if (broken.length > 0) toast({ kind: "danger", title: "Some tabs could not be restored", text: broken.join(", ") });
  if (tabs.length === 0) return false;
  const active = records.find((one) => one.active && tabs.some((tab) => tab.id === one.id));
  useWorkspace.setState({ tabs, activeId: active?.id ?? tabs[0]?.id ?? "" });
  const unsaved = tabs.filter((tab) => tab.unsaved);
  if (unsaved.length > 0) toast({ id: "restored", title: "Your work is back", text: `Restored with unsaved changes: ${unsaved.map((tab) => tab.name).join(", ")}.` });
  return true;
}

/** Starts keeping; call once, after `restoreTabs`. */
export function startAutosave(): () => void {
  watch(useWorkspace.getState().tabs);
  const stop = useWorkspace.subscribe(({ tabs, activeId }, before) => {
    watch(tabs);
    for (const tab of tabs) {
      const old = before.tabs.find((other) => other.id === tab.id);
      if (old !== tab || activeId !== before.activeId) keepSoon(tab.id);
    }
  });
  const hidden = () => document.visibilityState === "hidden" && keepNow();
  document.addEventListener("visibilitychange", hidden);
  window.addEventListener("pagehide", keepNow);
  return () => {
    stop();
    document.removeEventListener("visibilitychange", hidden);
    window.removeEventListener("pagehide", keepNow);
  };
}

/** The browser asks before the page goes while there are changes that no file has: they are kept, but only in this browser. */
export function guardUnload(): () => void {
  const guard = (event: BeforeUnloadEvent) => {
    keepNow();
    if (failing && useWorkspace.getState().tabs.some(isDirty)) event.preventDefault();
  };
  window.addEventListener("beforeunload", guard);
  return () => window.removeEventListener("beforeunload", guard);
}
